/** QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear of any shape and integer type, per tensor, axis or block. */
import { rangeOf } from "../../../kernels/float/dynamic.ts";
import { roundHalfEven } from "../../../kernels/requantize.ts";
import { refuse } from "../refusal.ts";
import { dataTypeName } from "../schema.ts";
import type { ReferenceNode, ReferenceOperator } from "./evaluate.ts";
import { indexOf, type ReferenceValue, range, stored, typeNamed } from "./value.ts";

const f32 = Math.fround;

/** Where an element's scale lies. @throws ModelFormatError for scales that fit neither an axis nor blocks along it. */
function scaleIndex(node: ReferenceNode, x: ReferenceValue, scale: ReferenceValue): (at: number) => number {
  if (scale.data.length === 1) return () => 0;
  const axis = node.axis(node.int("axis", 1), x.shape.length);
  const block = node.int("block_size", 0);
  if (block === 0) {
    if (scale.data.length !== x.shape[axis])
      node.malformed(`${x.shape[axis]} scales along axis ${axis}`, `${scale.data.length}`);
    return (at) => indexOf(at, x.shape)[axis];
  }
  const blocks = x.shape.map((size, d) => (d === axis ? Math.ceil(size / block) : size));
  if (`${scale.shape}` !== `${blocks}`) node.malformed(`scales of [${blocks}]`, `[${scale.shape}]`);
  return (at) =>
    indexOf(at, x.shape).reduce(
      (place, i, d) => place * blocks[d] + (d === axis ? Math.floor(i / block) : i),
      0,
    );
}

/** One for all, or one a scale. */
function zeroPoints(node: ReferenceNode, scale: ReferenceValue): (i: number) => number {
  const zero = node.optional(2);
  if (!zero) return () => 0;
  if (zero.data.length !== scale.data.length)
    node.malformed(`${scale.data.length} zero points`, `${zero.data.length}`);
  return (i) => zero.data[i];
}

/** The type of the codes: that of the zero point, or output_dtype, or uint8. */
function codeType(node: ReferenceNode) {
  const wanted = node.int("output_dtype", 0);
  const given = node.optional(2)?.type;
  return given ?? (wanted === 0 ? "uint8" : typeNamed(dataTypeName(wanted) ?? `${wanted}`, "output_dtype"));
}

const quantizeLinear: ReferenceOperator = (node) => {
  const [x, scale] = [node.input(0), node.input(1)];
  const type = codeType(node);
  const [low, high] = range(type) ?? refuse(`quantizes to ${type}`);
  if (range(x.type) && x.type !== "int32") refuse(`quantizes ${x.type}`);
  const [at, zero] = [scaleIndex(node, x, scale), zeroPoints(node, scale)];
  const data = x.data.map((value, i) => {
    const steps = roundHalfEven(stored(scale.type, value / scale.data[at(i)]));
    return Math.min(Math.max((Number.isNaN(steps) ? 0 : steps) + zero(at(i)), low), high);
  });
  return [{ type, shape: x.shape, data }];
};

const dequantizeLinear: ReferenceOperator = (node) => {
  const [x, scale] = [node.input(0), node.input(1)];
  if (!range(x.type)) refuse(`dequantizes ${x.type}`);
  const [at, zero] = [scaleIndex(node, x, scale), zeroPoints(node, scale)];
  const data = x.data.map((code, i) => stored(scale.type, f32(code - zero(at(i))) * scale.data[at(i)]));
  return [{ type: scale.type, shape: x.shape, data }];
};

const dynamicQuantizeLinear: ReferenceOperator = (node) => {
  const x = node.input(0);
  if (x.type !== "float32") refuse(`quantizes ${x.type}`);
  const { step, zeroPoint, code } = rangeOf("onnxruntime", x.data);
  return [
    { type: "uint8", shape: x.shape, data: x.data.map((value) => code(value) + zeroPoint) },
    { type: "float32", shape: [], data: Float64Array.of(step) },
    { type: "uint8", shape: [], data: Float64Array.of(zeroPoint) },
  ];
};

export const QUANTIZERS: Record<string, ReferenceOperator> = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
};
