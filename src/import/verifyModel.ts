import { ModelFormatError, UnsupportedOpError } from "../errors.ts";
import type { Kernels } from "../kernels/module.ts";
import { compile, type Plan, type Values } from "../model/compile.ts";
import { type DType, elements, type Graph } from "../model/graph.ts";
import type { Profile, Requantizer } from "../profile/schema.ts";
import { decodeBase64, inputBytes, type ModelVectors, outputBytes, sampleOf } from "./modelVectors.ts";

/** A tensor of one sample that is not what the runtime computed. */
export interface ModelDifference {
  /** Name of the sample. */
  sample: string;
  /** Name and index in the Graph. */
  tensor: string;
  index: number;
  /** Values that differ; undefined where the file has only a hash of them. */
  differing?: number;
  values: number;
  /** In codes, or in real units for float32. */
  largest?: number;
  first?: { at: number; expected: number; got: number };
}

/** What one runtime's vectors say. Intermediates come in execution order, so the first difference is the cause. */
export interface RuntimeReport {
  runtime: string;
  samples: number;
  /** Output values compared, and those that differ. */
  values: number;
  differing: number;
  outputs: ModelDifference[];
  intermediateTensors: number;
  intermediates: ModelDifference[];
  /** Intermediates that the Graph has no tensor for: constants, and what lies inside of a node that stands for several. */
  notInGraph: number;
}

export interface VerifyModelOptions {
  vectors: ModelVectors;
  graph: Graph;
  profile: Profile;
  kernels: Kernels;
  /** By default those that the profile's requantizer stands for, as far as the vectors have them. */
  runtimes?: readonly string[];
}

/** The runtimes of the vectors that compute with each requantizer. */
export const RUNTIMES: Partial<Record<Requantizer, readonly string[]>> = {
  "tflite-double": ["tflm_ref_double", "tflm_cmsis_nn"],
  "tflite-single": ["tflm_ref_single"],
  "float-even": ["litert_xnnpack", "tfjs_tflite"],
};

/**
 * Runs every sample under the profile and compares all outputs and intermediates, byte for byte.
 * @throws UnsupportedOpError where the profile cannot run the graph; ModelFormatError for vectors that do not fit it.
 */
export async function verifyModel(options: VerifyModelOptions): Promise<RuntimeReport[]> {
  const { vectors, graph, profile, kernels } = options;
  if (vectors.stateful) throw new UnsupportedOpError(graph.name, ["state kept between runs"]);
  const mark = kernels.mark();
  try {
    const plan = compile(graph, profile, kernels, { keep: "all" });
    const names = options.runtimes ?? RUNTIMES[profile.arithmetic.ops.default.requantizer] ?? [];
    const reports: RuntimeReport[] = [];
    for (const runtime of names.filter((name) => name in vectors.outputs))
      reports.push(await verifyRuntime(vectors, plan, runtime));
    return reports;
  } finally {
    kernels.release(mark);
  }
}

async function verifyRuntime(vectors: ModelVectors, plan: Plan, runtime: string): Promise<RuntimeReport> {
  const { graph } = plan;
  const expected = outputBytes(vectors, runtime, graph.name);
  if (expected.length !== vectors.inputs.length)
    throw new ModelFormatError(
      `${graph.name}: outputs.${runtime}`,
      `${vectors.inputs.length} samples`,
      `${expected.length}`,
    );
  const report: RuntimeReport = {
    runtime,
    samples: expected.length,
    values: 0,
    differing: 0,
    outputs: [],
    intermediateTensors: 0,
    intermediates: [],
    notInGraph: 0,
  };
  for (let sample = 0; sample < expected.length; sample++) {
    const outputs = runSample(vectors, plan, sample);
    if (expected[sample].length !== outputs.length)
      throw new ModelFormatError(
        `${graph.name}: outputs.${runtime}: sample ${sample}`,
        `${outputs.length} outputs`,
        `${expected[sample].length}`,
      );
    graph.outputs.forEach((id, i) => {
      const difference = compare(graph, id, expected[sample][i], bytesOf(outputs[i]));
      report.values += outputs[i].length;
      if (!difference) return;
      report.differing += difference.differing!;
      report.outputs.push({ sample: vectors.inputs[sample].name, ...difference });
    });
    await verifyIntermediates(vectors, plan, sample, report);
  }
  return report;
}

function runSample(vectors: ModelVectors, plan: Plan, sample: number): Values[] {
  const { graph } = plan;
  const place = `${graph.name}: sample ${sample}`;
  const tensors = vectors.inputs[sample]?.tensors ?? [];
  if (tensors.length !== graph.inputs.length)
    throw new ModelFormatError(place, `${graph.inputs.length} inputs`, `${tensors.length}`);
  const inputs = graph.inputs.map((id, i) => {
    const { dtype, shape } = graph.tensors[id];
    const values = typed(inputBytes(vectors, sample, i), dtype, `${place}: input ${i}`) as Values;
    if (values.length !== elements(shape))
      throw new ModelFormatError(
        `${place}: input ${i}`,
        `${elements(shape)} ${dtype} values`,
        `${values.length}`,
      );
    return values;
  });
  return plan.run(inputs, graph.tensors[graph.inputs[0]].shape[0]);
}

async function verifyIntermediates(
  vectors: ModelVectors,
  plan: Plan,
  sample: number,
  report: RuntimeReport,
): Promise<void> {
  const { graph } = plan;
  const made = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  for (const dump of vectors.intermediates) {
    if (dump.runtime !== report.runtime || sampleOf(vectors, dump, graph.name) !== sample) continue;
    for (const tensor of dump.tensors) {
      const index = tensor.index ?? graph.tensors.findIndex(({ name }) => name === tensor.tensorName);
      const place = `${graph.name}: intermediate ${tensor.tensorName}`;
      if (index >= graph.tensors.length)
        throw new ModelFormatError(place, `an index below ${graph.tensors.length}`, `${index}`);
      if (!made.has(index)) {
        report.notInGraph++;
        continue;
      }
      const got = bytesOf(plan.view(index, graph.tensors[graph.inputs[0]].shape[0]));
      report.intermediateTensors++;
      const { base64, sha256 } = tensor;
      if (!base64 && !sha256) throw new ModelFormatError(place, "base64 or sha256", "neither");
      const difference = base64
        ? compare(graph, index, decodeBase64(base64), got)
        : await compareHash(graph, index, sha256!, got);
      if (difference) report.intermediates.push({ sample: vectors.inputs[sample].name, ...difference });
    }
  }
}

type Difference = Omit<ModelDifference, "sample">;

function compare(graph: Graph, index: number, expected: Uint8Array, got: Uint8Array): Difference | undefined {
  const { name, dtype } = graph.tensors[index];
  const place = `${graph.name}: tensor ${name}`;
  if (expected.length !== got.length)
    throw new ModelFormatError(place, `vectors of ${got.length} bytes`, `${expected.length}`);
  if (expected.every((byte, i) => byte === got[i])) return undefined;
  const [want, have] = [typed(expected, dtype, place), typed(got, dtype, place)];
  const differing = [...want.keys()].filter((i) => !Object.is(want[i], have[i]));
  const at = differing[0];
  return {
    tensor: name,
    index,
    differing: differing.length,
    values: want.length,
    largest: differing.reduce((most, i) => Math.max(most, Math.abs(Number(want[i]) - Number(have[i]))), 0),
    first: { at, expected: Number(want[at]), got: Number(have[at]) },
  };
}

async function compareHash(
  graph: Graph,
  index: number,
  sha256: string,
  got: Uint8Array,
): Promise<Difference | undefined> {
  const { name, shape } = graph.tensors[index];
  return (await sha256Of(got)) === sha256.toLowerCase()
    ? undefined
    : { tensor: name, index, values: elements(shape) };
}

/** In lower-case hexadecimal. */
export async function sha256Of(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes.slice()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Values) =>
  new Uint8Array(buffer, byteOffset, byteLength);

const VIEWS = {
  float32: Float32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int4: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
} as const satisfies Record<DType, unknown>;

/** Bytes as values of a type; copied, for alignment. */
function typed(bytes: Uint8Array, dtype: DType, where: string): InstanceType<(typeof VIEWS)[DType]> {
  const Elements = VIEWS[dtype];
  if (bytes.length % Elements.BYTES_PER_ELEMENT !== 0)
    throw new ModelFormatError(where, `whole ${dtype} values`, `${bytes.length} bytes`);
  return new Elements(bytes.slice().buffer);
}
