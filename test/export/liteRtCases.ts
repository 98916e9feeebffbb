import {
  type DType,
  elements,
  type Graph,
  type Node,
  type OpName,
  type Tensor,
  type TensorData,
} from "../../src/model/graph.ts";
import { outputShape } from "../../src/model/shapes.ts";
import { seededRandom } from "../../src/random.ts";

type Type = "int8" | "uint8" | "int16";
interface Place {
  shape: number[];
  dtype: DType;
  scale: number | number[];
  zeroPoint?: number;
  axis?: number;
  /** Of a constant: codes in [-most, most] about the zero point. */
  most?: number;
  /** No quantization is written. */
  bare?: true;
}

/** One operator with float32 ends, as LiteRT.js takes it. */
export interface OpCase {
  name: string;
  graph: Graph;
  /** LiteRT.js has no such kernel, and returns whatever was in memory. */
  missing: boolean;
}

/** What no runtime of TFLite's has, so that a profile must refuse it. */
const MISSING = [
  /^TRANSPOSE_CONV.* int4/,
  /^DEPTHWISE_CONV_2D.* int16 int32 .*(channel|tensor)$/,
  /^(HARD_SWISH|PRELU|RELU_N1_TO_1) int16/,
  /^QUANTIZE (uint8 to int16|int16 to uint8)/,
];

const BYTES = { int8: Int8Array, uint8: Uint8Array, int4: Uint8Array, int16: Int16Array, int32: Int32Array };

function constantData({ shape, dtype, most = 3, zeroPoint = 0 }: Place, seed: string): TensorData {
  const random = seededRandom(11).fork(seed);
  const codes = Int32Array.from(
    { length: elements(shape) },
    () => zeroPoint + random.below(2 * most + 1) - most,
  );
  if (dtype === "int64") return BigInt64Array.from(codes, BigInt);
  if (dtype !== "int4") return (BYTES[dtype as "int8"] as Int8ArrayConstructor).from(codes);
  return Uint8Array.from(
    { length: Math.ceil(codes.length / 2) },
    (_, i) => (codes[2 * i] & 15) | (((codes[2 * i + 1] ?? 0) & 15) << 4),
  );
}

function tensorOf(name: string, place: Place): Tensor {
  const { shape, dtype, scale, zeroPoint = 0, axis, most, bare } = place;
  const scales = [scale].flat();
  const quantization = {
    scale: Float32Array.from(scales),
    zeroPoint: new Int32Array(scales.length).fill(zeroPoint),
    ...(axis !== undefined && { axis }),
  };
  return {
    name,
    shape,
    dtype,
    ...(!bare && { quantization }),
    ...(most !== undefined && { data: constantData(place, name) }),
  };
}

/** outputs: without shapes, which follow from the operator. */
function caseOf(
  name: string,
  op: OpName,
  inputs: (Place | undefined)[],
  outputs: Omit<Place, "shape">[],
  attributes: object = {},
): OpCase {
  const tensors: Tensor[] = [];
  const nodes: Node[] = [];
  const add = (tensor: Tensor) => tensors.push(tensor) - 1;
  const real = (shape: number[], label: string) => add({ name: label, shape, dtype: "float32" });
  const ends: number[] = [];
  const ids = inputs.map((place, i) => {
    if (!place) return -1;
    const id = add(tensorOf(`${name} ${i}`, place));
    if (place.most !== undefined) return id;
    ends.push(real(place.shape, `x${i}`));
    nodes.push({ op: "QUANTIZE", name: `q${i}`, inputs: [ends.at(-1)!], outputs: [id], attributes: {} });
    return id;
  });
  const node = { op, name: "op", inputs: ids, outputs: [] as number[], attributes } as unknown as Node;
  const shapes = inputs.map((place) => place?.shape ?? []);
  const shape = outputShape(node, shapes);
  const sizes = op === "SPLIT" ? (attributes as { sizes: number[]; axis: number }) : undefined;
  node.outputs = outputs.map((place, i) =>
    add(
      tensorOf(`y${i}`, {
        ...place,
        shape: shape.map((size, d) => (d === sizes?.axis ? sizes.sizes[i] : size)),
      }),
    ),
  );
  nodes.push(node);
  const reals = node.outputs.map((id, i) => {
    const y = real(tensors[id].shape, `real${i}`);
    nodes.push({ op: "DEQUANTIZE", name: `d${i}`, inputs: [id], outputs: [y], attributes: {} });
    return y;
  });
  return {
    name,
    missing: MISSING.some((pattern) => pattern.test(name)),
    graph: { name, tensors, nodes, inputs: ends, outputs: reals },
  };
}

const zero: Record<Type, number> = { int8: 5, uint8: 131, int16: 0 };
const act = (dtype: Type, shape: number[], scale = 0.05, zeroPoint = zero[dtype]): Place => ({
  shape,
  dtype,
  scale,
  zeroPoint,
});
const out = (dtype: Type, scale = 0.05, zeroPoint = zero[dtype]) => ({ dtype, scale, zeroPoint });
const strides = { strideHeight: 1, strideWidth: 1 };
const undilated = { dilationHeight: 1, dilationWidth: 1 };
const TYPES = ["int8", "uint8", "int16"] as const;

/** Factors of the accumulator: one whose double rounding shows, one of ties. */
const FACTORS = { generic: 0.3141, ties: 0.25, left: 3.7 };

/** Filters of small codes, so that sums stay within the output. */
function products(): OpCase[] {
  const cases: OpCase[] = [];
  const s = 0.05;
  const w = 0.02;
  for (const [label, factor] of Object.entries(FACTORS))
    for (const bits of ["int8", "int4", "uint8", "int16", "int16 int32"] as const) {
      const dtype: Type = bits === "int4" ? "int8" : (bits.split(" ")[0] as Type);
      const filterType: DType = bits === "int4" ? "int4" : dtype === "uint8" ? "uint8" : "int8";
      const y = out(dtype, Math.fround((s * w) / factor));
      const biasType: DType = bits === "int16" ? "int64" : "int32";
      const reach = dtype === "int16" ? 2000 : 20;
      for (const perChannel of dtype === "uint8" ? [false] : [true, false])
        for (const biased of [true, false]) {
          const name = (op: string) =>
            `${op} ${bits} ${label} ${perChannel ? "per channel" : "per tensor"}${biased ? "" : " without bias"}`;
          const scales = (channels: number) =>
            perChannel ? Array.from({ length: channels }, (_, c) => Math.fround(w * (1 + (c % 3)))) : w;
          const filter = (shape: number[], axis: number): Place => ({
            shape,
            dtype: filterType,
            scale: scales(shape[axis]),
            ...(perChannel && { axis }),
            ...(dtype === "uint8" && { zeroPoint: 120 }),
            most: 2,
          });
          const bias = (channels: number): Place | undefined =>
            biased
              ? {
                  shape: [channels],
                  dtype: biasType,
                  scale: [scales(channels)].flat().map((v) => v * s),
                  ...(perChannel && { axis: 0 }),
                  most: reach,
                }
              : undefined;
          const x = act(dtype, [1, 6, 5, 4], s);
          const window = { ...strides, ...undilated, padding: "SAME", activation: "NONE" };
          // Of CONV_2D of int16 without a bias LiteRT.js 2.5.3 computes nothing.
          if (biased || dtype !== "int16")
            cases.push(
              caseOf(name("CONV_2D"), "CONV_2D", [x, filter([6, 1, 1, 4], 0), bias(6)], [y], window),
            );
          cases.push(
            caseOf(
              name("DEPTHWISE_CONV_2D"),
              "DEPTHWISE_CONV_2D",
              [x, filter([1, 2, 2, 4], 3), bias(4)],
              [y],
              {
                ...window,
                depthMultiplier: 1,
                activation: "RELU6",
              },
            ),
            caseOf(
              name("FULLY_CONNECTED"),
              "FULLY_CONNECTED",
              [act(dtype, [1, 8], s), filter([64, 8], 0), bias(64)],
              [y],
              { activation: "NONE" },
            ),
            caseOf(name("TRANSPOSE_CONV"), "TRANSPOSE_CONV", [x, filter([3, 2, 2, 4], 0), bias(3)], [y], {
              ...strides,
              strideHeight: 2,
              strideWidth: 2,
              padding: "SAME",
              activation: "NONE",
              outputShape: [1, 12, 10, 3],
            }),
          );
          if (label === "ties" && bits.startsWith("int"))
            cases.push(
              caseOf(
                name("FULLY_CONNECTED odd"),
                "FULLY_CONNECTED",
                [act(dtype, [1, 7], s), filter([64, 7], 0), bias(64)],
                [y],
                { activation: "RELU" },
              ),
              caseOf(
                name("FULLY_CONNECTED rows"),
                "FULLY_CONNECTED",
                [act(dtype, [1, 5, 8], s), filter([64, 8], 0), bias(64)],
                [y],
                { activation: "RELU" },
              ),
            );
          if (label === "generic" && biased)
            cases.push(
              caseOf(
                name("DEPTHWISE_CONV_2D multiplier 2 dilated"),
                "DEPTHWISE_CONV_2D",
                [x, filter([1, 2, 2, 8], 3), bias(8)],
                [y],
                { ...window, dilationHeight: 2, dilationWidth: 2, depthMultiplier: 2 },
              ),
              caseOf(
                name("TRANSPOSE_CONV filter below stride"),
                "TRANSPOSE_CONV",
                [x, filter([3, 1, 1, 4], 0), bias(3)],
                [y],
                {
                  ...strides,
                  strideHeight: 2,
                  strideWidth: 2,
                  padding: "SAME",
                  activation: "NONE",
                  outputShape: [1, 12, 10, 3],
                },
              ),
              caseOf(
                name("TRANSPOSE_CONV VALID"),
                "TRANSPOSE_CONV",
                [x, filter([3, 3, 2, 4], 0), bias(3)],
                [y],
                { ...strides, padding: "VALID", activation: "RELU", outputShape: [1, 8, 6, 3] },
              ),
              caseOf(
                name("FULLY_CONNECTED odd"),
                "FULLY_CONNECTED",
                [act(dtype, [1, 7], s), filter([64, 7], 0), bias(64)],
                [y],
                { activation: "RELU" },
              ),
            );
        }
    }
  return cases;
}

/** Ratios of scales of both sides of the delegate's limits. */
const RATIOS = {
  even: [0.05, 0.05, 0.1],
  uneven: [0.031, 0.0713, 0.11],
  steep: [0.0000312, 0.07, 0.09],
  coarse: [11.7, 0.05, 0.04],
};

function pairs(): OpCase[] {
  const cases: OpCase[] = [];
  for (const op of ["ADD", "SUB", "MUL"] as const)
    for (const dtype of TYPES)
      for (const [label, [a, b, c]] of Object.entries(RATIOS)) {
        // XNNPACK leaves products beyond 256 times the output's scale; those below 2^-16 are 0 in 8 bits.
        const product = { even: 77, uneven: 77, steep: 50, coarse: 1 / 300 }[label]!;
        const y = out(dtype, op === "MUL" ? a * b * product : c);
        const name = `${op} ${dtype} ${label}`;
        const attributes = { activation: "NONE", ...(op !== "MUL" && { powerOfTwoScales: false }) };
        const other = dtype === "uint8" ? 99 : dtype === "int8" ? -7 : 0;
        cases.push(
          caseOf(
            name,
            op,
            [act(dtype, [1, 16, 16, 3], a), act(dtype, [1, 16, 16, 3], b, other)],
            [y],
            attributes,
          ),
        );
        if (op === "MUL" && dtype === "int16")
          cases.push(
            caseOf(
              `${name} spread`,
              op,
              [act(dtype, [1, 64, 64, 3], a), act(dtype, [1, 64, 64, 3], b)],
              [out(dtype, a * b * 4000)],
              attributes,
            ),
          );
        if (label !== "uneven") continue;
        const constant = { ...act(dtype, [3], b, other), most: dtype === "int16" ? 900 : 90 };
        cases.push(
          caseOf(`${name} constant`, op, [act(dtype, [1, 16, 16, 3], a), constant], [y], attributes),
          caseOf(`${name} constant first`, op, [constant, act(dtype, [1, 16, 16, 3], a)], [y], attributes),
          caseOf(
            `${name} broadcast RELU`,
            op,
            [act(dtype, [1, 16, 1, 3], a), act(dtype, [1, 1, 16, 3], b, other)],
            [y],
            { ...attributes, activation: "RELU" },
          ),
        );
      }
  return cases;
}

function singles(): OpCase[] {
  const cases: OpCase[] = [];
  const shape = [1, 16, 15, 3];
  for (const dtype of TYPES) {
    const x = act(dtype, shape, dtype === "int16" ? 0.0004 : 0.05);
    const one = (op: OpName, y: Omit<Place, "shape">, attributes: object = {}, input = x, label = "") =>
      cases.push(caseOf(`${op} ${dtype}${label}`, op, [input], [y], attributes));
    const same = { dtype, scale: x.scale, zeroPoint: x.zeroPoint };
    const low = dtype === "int8" ? -128 : 0;
    const pool = {
      strideHeight: 2,
      strideWidth: 2,
      filterHeight: 3,
      filterWidth: 2,
      padding: "SAME",
      activation: "RELU6",
    };
    one("AVERAGE_POOL_2D", same, pool);
    if (dtype !== "int16")
      one("AVERAGE_POOL_2D", out(dtype, 0.041), { ...pool, activation: "NONE" }, x, " on another scale");
    one("MAX_POOL_2D", same, pool);
    for (const axes of [[1, 2], [2], [3], [1], [1, 3], [1, 2, 3]])
      for (const keepDims of [true, false])
        one(
          "MEAN",
          out(dtype, dtype === "int16" ? 0.0002 : 0.023),
          { axes, keepDims },
          x,
          ` ${axes} ${keepDims}`,
        );
    if (dtype === "int16") one("SOFTMAX", { dtype, scale: 1 / 32768, zeroPoint: 0 }, { beta: 1 });
    else one("SOFTMAX", { dtype, scale: 1 / 256, zeroPoint: low }, { beta: 1 });
    one(
      "LOGISTIC",
      dtype === "int16" ? { dtype, scale: 1 / 32768 } : { dtype, scale: 1 / 256, zeroPoint: low },
    );
    one(
      "TANH",
      dtype === "int16" ? { dtype, scale: 1 / 32768 } : { dtype, scale: 1 / 128, zeroPoint: low + 128 },
    );
    one("HARD_SWISH", out(dtype, 0.03));
    if (dtype === "int8")
      one("LOG_SOFTMAX", { dtype, scale: 1 / 16, zeroPoint: 127 }, {}, act(dtype, [1, 16, 16]));
    for (const alpha of [0.1, 0.0001, -0.3, 1.5])
      one("LEAKY_RELU", out(dtype, dtype === "int16" ? 0.0003 : 0.041), { alpha }, x, ` ${alpha}`);
    const alphas = { ...act(dtype, [3], 0.01, dtype === "uint8" ? 120 : 0), most: 90 };
    cases.push(caseOf(`PRELU ${dtype}`, "PRELU", [x, alphas], [out(dtype, 0.041)]));
    for (const op of ["RELU", "RELU6", "RELU_N1_TO_1"] as const) {
      one(op, out(dtype, dtype === "int16" ? 0.0003 : 0.037));
      one(op, same, {}, x, " same scale");
    }
    one("PAD", same, { before: [0, 1, 0, 0], after: [0, 2, 1, 0] });
    one("PAD", same, { before: [0, 1, 0, 0], after: [0, 2, 1, 0], value: 7 }, x, " of 7");
    one("TRANSPOSE", same, { permutation: [0, 3, 1, 2] });
    one("RESHAPE", same, { shape: [1, 240, 3] });
    one("STRIDED_SLICE", same, {
      begin: [0, 1, 14, 0],
      end: [1, 9, -1, 3],
      strides: [1, 2, -1, 1],
      squeeze: [],
    });
    cases.push(
      caseOf(`SPLIT ${dtype}`, "SPLIT", [x], [same, same, same], { axis: 2, sizes: [5, 5, 5] }),
      caseOf(`CONCATENATION ${dtype}`, "CONCATENATION", [x, x], [same], { axis: 3, activation: "NONE" }),
    );
    if (dtype === "uint8")
      cases.push(
        caseOf(
          "CONCATENATION uint8 of other scales",
          "CONCATENATION",
          [x, act(dtype, shape, 0.07, 11), act(dtype, shape, 0.02, 200)],
          [out(dtype, 0.06, 90)],
          { axis: 1, activation: "NONE" },
        ),
      );
    if (dtype !== "int16")
      for (const [label, flags] of Object.entries({
        plain: [false, false],
        corners: [true, false],
        centers: [false, true],
      })) {
        const size = { height: 7, width: 40, alignCorners: flags[0], halfPixelCenters: flags[1] };
        one("RESIZE_BILINEAR", same, size, x, ` ${label}`);
        one("RESIZE_NEAREST_NEIGHBOR", same, size, x, ` ${label}`);
      }
  }
  return cases;
}

function conversions(): OpCase[] {
  const cases: OpCase[] = [];
  for (const from of TYPES)
    for (const to of TYPES)
      for (const ratio of from === "int16" ? [1, 0.731, 0.0019, 150, 0.5] : [1, 0.731, 150, 0.5])
        cases.push(
          caseOf(
            `QUANTIZE ${from} to ${to} by ${ratio}`,
            "QUANTIZE",
            [act(from, [1, 16, 16, 3], 0.05)],
            [out(to, Math.fround(0.05 / ratio), to === "int16" ? 0 : zero[to] + 3)],
          ),
        );
  return cases;
}

export const OP_CASES: readonly OpCase[] = [...products(), ...pairs(), ...singles(), ...conversions()];

/** Real values over a bit more than the codes of each input. */
export function inputsOf(graph: Graph): Float32Array[] {
  return graph.inputs.map((id) => {
    const random = seededRandom(3).fork(graph.tensors[id].name);
    const codes = graph.tensors[graph.nodes.find(({ inputs }) => inputs[0] === id)!.outputs[0]];
    const { scale, zeroPoint } = codes.quantization!;
    const half = codes.dtype === "int16" ? 33000 : 130;
    const middle = codes.dtype === "uint8" ? 128 : 0;
    const length = elements(graph.tensors[id].shape);
    return Float32Array.from(
      { length },
      () => scale[0] * (middle - zeroPoint[0] + Math.round((2 * random.uniform() - 1) * half)),
    );
  });
}
