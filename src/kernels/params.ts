/** Parameter blocks by name: fields of four bytes in the order of the classes of assembly/params.ts. */
import type { Kernels } from "./module.ts";

const OPERANDS = ["batches", "input", "output", "scratch"] as const;
const REQUANTIZED = [
  ...OPERANDS,
  "requantizer",
  "rightShift",
  "panels",
  "outputOffset",
  "activationMin",
  "activationMax",
] as const;
const PACKED = [
  ...REQUANTIZED,
  "weights",
  "offsets",
  "offsetCount",
  "pairs",
  "groups",
  "groupDepth",
  "groupBytes",
  "outputDepth",
  "inputOffset",
  "inputDepth",
] as const;
const ELEMENTWISE = [
  ...OPERANDS,
  "input2",
  "input2Stride",
  "elements",
  "input1Offset",
  "input2Offset",
  "outputOffset",
  "activationMin",
  "activationMax",
  "requantizer",
] as const;

const CONVOLUTION = [
  ...PACKED,
  "inputHeight",
  "inputWidth",
  "outputHeight",
  "outputWidth",
  "strideHeight",
  "strideWidth",
  "padTop",
  "padLeft",
  "paddedHeight",
  "paddedWidth",
  "pixelBytes",
  "depthMultiplier",
] as const;
const ADD = [
  ...ELEMENTWISE,
  "input2Sign",
  "leftShift",
  "input1Multiplier",
  "input1Shift",
  "input2Multiplier",
  "input2Shift",
  "outputMultiplier",
  "outputShift",
  "shift",
] as const;

export const PARAMS = {
  Requantized: REQUANTIZED,
  Convolution: CONVOLUTION,
  FullyConnected: [...PACKED, "filterOffset"],
  Add: ADD,
  Mul: [...ELEMENTWISE, "multiplier", "shift", "scale"],
  Pool: [
    ...OPERANDS,
    "inputHeight",
    "inputWidth",
    "inputDepth",
    "outputHeight",
    "outputWidth",
    "filterHeight",
    "filterWidth",
    "strideHeight",
    "strideWidth",
    "padTop",
    "padLeft",
    "activationMin",
    "activationMax",
  ],
  Mean: [
    ...OPERANDS,
    "outer",
    "reducedOuter",
    "inner",
    "reducedInner",
    "inputOffset",
    "outputOffset",
    "activationMin",
    "activationMax",
    "requantizer",
    "multiplier",
    "shift",
    "scale",
  ],
  Softmax: [
    ...OPERANDS,
    "rows",
    "rowSize",
    "multiplier",
    "shift",
    "diffMin",
    "table",
    "scale",
    "outputScale",
    "outputOffset",
  ],
  Pad: [
    ...OPERANDS,
    "size0",
    "size1",
    "size2",
    "before0",
    "before1",
    "before2",
    "after0",
    "after1",
    "after2",
    "value",
  ],
  Quantize: [...OPERANDS, "elements", "scale", "zeroPoint", "halfEven"],
  Lookup: [...OPERANDS, "elements", "table"],
  Copy: [...OPERANDS, "bytes"],
  Ordered: [
    ...OPERANDS,
    "requantizer",
    "accumulator",
    "weights",
    "bias",
    "multipliers",
    "shifts",
    "scales",
    "inputOffset",
    "outputOffset",
    "activationMin",
    "activationMax",
    "inputHeight",
    "inputWidth",
    "inputDepth",
    "outputHeight",
    "outputWidth",
    "outputDepth",
    "groupDepth",
    "groupOutputs",
    "filterHeight",
    "filterWidth",
    "strideHeight",
    "strideWidth",
    "dilationHeight",
    "dilationWidth",
    "padTop",
    "padLeft",
  ],
  PairLookup: [...OPERANDS, "input2", "input2Stride", "elements", "table"],
  RoundedPool: [
    ...OPERANDS,
    "inputHeight",
    "inputWidth",
    "inputDepth",
    "outputHeight",
    "outputWidth",
    "filterHeight",
    "filterWidth",
    "strideHeight",
    "strideWidth",
    "padTop",
    "padLeft",
    "activationMin",
    "activationMax",
    "rounding",
    "inputOffset",
    "inputScale",
    "outputScale",
    "outputOffset",
  ],
  SoftmaxTable: [...OPERANDS, "rows", "rowSize", "table", "scale", "outputScale", "outputOffset"],
  WideConvolution: [...CONVOLUTION, "segment"],
  WideFullyConnected: [...PACKED, "segment"],
  WideAdd: [...ADD, "shifted"],
  Rescale: [
    ...OPERANDS,
    "elements",
    "inputOffset",
    "outputOffset",
    "activationMin",
    "activationMax",
    "requantizer",
    "multiplier",
    "shift",
    "negativeMultiplier",
    "negativeShift",
  ],
  WideSoftmax: [
    ...OPERANDS,
    "rows",
    "rowSize",
    "requantizer",
    "multiplier",
    "shift",
    "expTable",
    "reciprocalTable",
  ],
  WideLogistic: [...OPERANDS, "elements", "table", "multiplier", "shift"],
  Primitive: ["count", "a", "b", "c", "result"],
} as const;

export type Block = keyof typeof PARAMS;
export type Field<B extends Block> = (typeof PARAMS)[B][number];

/** The 32 bits of a float32, as a field holds them. */
export function floatBits(value: number): number {
  return new Int32Array(Float32Array.of(value).buffer)[0];
}

/** Allocates a block and writes the fields given; the others are 0. */
export function writeParams<B extends Block>(
  kernels: Kernels,
  block: B,
  values: Partial<Record<Field<B>, number>>,
): number {
  const fields: readonly string[] = PARAMS[block];
  return kernels.place(
    Int32Array.from(fields, (field) => (values as Record<string, number | undefined>)[field] ?? 0),
  );
}

/** Writes one field of a block in place. */
export function setParam<B extends Block>(
  kernels: Kernels,
  address: number,
  block: B,
  field: Field<B>,
  value: number,
): void {
  const fields: readonly string[] = PARAMS[block];
  new DataView(kernels.memory.buffer).setInt32(address + 4 * fields.indexOf(field), value, true);
}
