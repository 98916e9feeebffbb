import { ModelFormatError } from "../errors.ts";
import * as z from "../zod.ts";
import type { DType, Graph, Node, Tensor, TensorData } from "./graph.ts";
import { validateGraph } from "./validate.ts";

/** Our saved form: "BLINDSPT", u32 version, u32 header bytes, header (UTF-8 JSON), then tensor data, each 8-aligned.
 * All little-endian. The header is the Graph with every `data` replaced by its byte offset and element count. */
const MAGIC = "BLINDSPT";
const VERSION = 1;
const PREFIX = 16;
const MAX_HEADER = 16 << 20;

const ARRAYS = {
  float32: Float32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int4: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
} as const satisfies Record<DType, unknown>;

const index = z.number().int().nonnegative();
const tensorSchema = z.strictObject({
  name: z.string(),
  shape: z.array(z.number().int().positive()).max(6),
  dtype: z.enum(Object.keys(ARRAYS) as [DType, ...DType[]]),
  quantization: z
    .strictObject({
      scale: z.array(z.number().positive().finite()).min(1),
      zeroPoint: z.array(z.number().int()).min(1),
      axis: index.optional(),
    })
    .optional(),
  data: z.strictObject({ offset: index, length: index }).optional(),
});
const headerSchema = z.strictObject({
  graph: z.strictObject({
    name: z.string(),
    tensors: z.array(tensorSchema).max(100_000),
    nodes: z
      .array(
        z.strictObject({
          op: z.string(),
          name: z.string(),
          inputs: z.array(z.number().int().min(-1)),
          outputs: z.array(index),
          attributes: z.record(z.string(), z.unknown()),
        }),
      )
      .max(100_000),
    inputs: z.array(index).min(1),
    outputs: z.array(index).min(1),
  }),
  meta: z.record(z.string(), z.unknown()),
});

/** A Graph and what its maker wants remembered with it (training options, attack, calibration card). */
export interface SavedModel {
  graph: Graph;
  meta: Record<string, unknown>;
}

const align = (bytes: number) => (bytes + 7) & ~7;

/** The bytes of a model file; the same model always gives the same bytes. */
export function writeModel({ graph, meta }: SavedModel): Uint8Array {
  let offset = 0;
  const tensors = graph.tensors.map((tensor) => {
    const { data, quantization, ...rest } = tensor;
    const place = data && { offset, length: data.length };
    if (data) offset += align(data.byteLength);
    return {
      ...rest,
      ...(quantization && {
        quantization: {
          ...quantization,
          scale: [...quantization.scale],
          zeroPoint: [...quantization.zeroPoint],
        },
      }),
      ...(place && { data: place }),
    };
  });
  const header = new TextEncoder().encode(JSON.stringify({ graph: { ...graph, tensors }, meta }));
  const start = align(PREFIX + header.length);
  const bytes = new Uint8Array(start + offset);
  bytes.set(new TextEncoder().encode(MAGIC));
  const view = new DataView(bytes.buffer);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, header.length, true);
  bytes.set(header, PREFIX);
  graph.tensors.forEach(({ data }, i) => {
    const place = tensors[i].data;
    if (data && place)
      bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start + place.offset);
  });
  return bytes;
}

export function isBlindspot(bytes: Uint8Array): boolean {
  return bytes.length >= PREFIX && new TextDecoder().decode(bytes.subarray(0, 8)) === MAGIC;
}

/** Reads a model file. where: the file's name for messages.
 * @throws ModelFormatError naming the offset or tensor, also for weights that are not finite. */
export function readModel(bytes: Uint8Array, where: string): SavedModel {
  const header = readHeader(bytes, where);
  const start = align(PREFIX + new DataView(bytes.buffer, bytes.byteOffset).getUint32(12, true));
  const end = header.graph.tensors.reduce((last, { data, dtype }) => {
    return data
      ? Math.max(last, start + align(data.offset + data.length * ARRAYS[dtype].BYTES_PER_ELEMENT))
      : last;
  }, start);
  if (bytes.length !== end) throw new ModelFormatError(`${where}: length`, `${end} bytes`, `${bytes.length}`);
  const tensors = header.graph.tensors.map((tensor): Tensor => {
    const { quantization, data, ...rest } = tensor;
    return {
      ...rest,
      ...(quantization && {
        quantization: {
          ...quantization,
          scale: Float32Array.from(quantization.scale),
          zeroPoint: Int32Array.from(quantization.zeroPoint),
        },
      }),
      ...(data && { data: tensorData(bytes, start, tensor.dtype, data, `${where}: tensor ${tensor.name}`) }),
    };
  });
  const graph = { ...header.graph, tensors, nodes: header.graph.nodes as unknown as Node[] };
  validateGraph(graph, where);
  return { graph, meta: header.meta };
}

function readHeader(bytes: Uint8Array, where: string): z.infer<typeof headerSchema> {
  if (!isBlindspot(bytes))
    throw new ModelFormatError(`${where}: offset 0`, `a Blindspot model ("${MAGIC}")`, "something else");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint32(8, true);
  if (version !== VERSION)
    throw new ModelFormatError(`${where}: offset 8`, `version ${VERSION}`, `${version}`);
  const length = view.getUint32(12, true);
  if (length > MAX_HEADER || PREFIX + length > bytes.length)
    throw new ModelFormatError(
      `${where}: offset 12`,
      `a header within the file's ${bytes.length} bytes`,
      `${length} bytes`,
    );
  let json: unknown;
  try {
    json = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(PREFIX, PREFIX + length)),
    );
  } catch (error) {
    throw new ModelFormatError(`${where}: offset ${PREFIX}`, "a JSON header", (error as Error).message);
  }
  const parsed = headerSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ModelFormatError(
    `${where}: header: ${issue.path.map(String).join(".")}`,
    "the fields of version 1",
    issue.message,
  );
}

function tensorData(
  bytes: Uint8Array,
  start: number,
  dtype: DType,
  place: { offset: number; length: number },
  where: string,
): TensorData {
  const Elements = ARRAYS[dtype];
  const from = start + place.offset;
  const size = place.length * Elements.BYTES_PER_ELEMENT;
  if (from % 8 !== 0 || from + size > bytes.length)
    throw new ModelFormatError(
      `${where}: offset ${from}`,
      `${size} bytes of data`,
      `${Math.max(0, bytes.length - from)} bytes`,
    );
  return new Elements(Uint8Array.from(bytes.subarray(from, from + size)).buffer);
}
