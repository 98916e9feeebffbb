import { elements, type Tensor } from "../../model/graph.ts";

/** A constant's bytes, its dimension i being the old order[i]. 4-bit values are packed as in ONNX: as in TFLite. */
export function permuted(
  { shape, dtype, data }: Tensor,
  order: readonly number[] | undefined,
): { shape: number[]; rawData: Uint8Array } {
  const bytes = new Uint8Array(data!.buffer, data!.byteOffset, data!.byteLength);
  if (!order || order.every((axis, i) => axis === i)) return { shape: [...shape], rawData: bytes };
  if (order.length !== shape.length) return { shape: trailing(shape), rawData: bytes };
  const moved = order.map((axis) => shape[axis]);
  const places = sources(shape, order);
  if (dtype === "int4") return { shape: moved, rawData: packed(bytes, places) };
  const size = data!.BYTES_PER_ELEMENT;
  const rawData = new Uint8Array(bytes.length);
  places.forEach((from, to) => rawData.set(bytes.subarray(from * size, (from + 1) * size), to * size));
  return { shape: moved, rawData };
}

/** [C], one value a channel, beside images with their channels first. */
const trailing = (shape: readonly number[]) => [...shape, 1, 1];

/** The old place of each element. */
function sources(shape: readonly number[], order: readonly number[]): Int32Array {
  const strides = order.map((axis) => elements(shape.slice(axis + 1)));
  const sizes = order.map((axis) => shape[axis]);
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  return Int32Array.from({ length: elements(shape) }, () => {
    const here = from;
    for (let d = sizes.length - 1; d >= 0; d--) {
      from += strides[d];
      if (++index[d] < sizes[d]) break;
      from -= strides[d] * sizes[d];
      index[d] = 0;
    }
    return here;
  });
}

function packed(bytes: Uint8Array, places: Int32Array): Uint8Array {
  const result = new Uint8Array(bytes.length);
  places.forEach((from, to) => {
    result[to >> 1] |= ((bytes[from >> 1] >> ((from & 1) * 4)) & 15) << ((to & 1) * 4);
  });
  return result;
}
