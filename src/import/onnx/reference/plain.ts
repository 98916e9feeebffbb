/** The operators between quantized ones: constants, casts, products, and what moves or clamps values. */
import { elements } from "../../../model/graph.ts";
import { refuse } from "../refusal.ts";
import { dataTypeName } from "../schema.ts";
import type { ReferenceOperator } from "./evaluate.ts";
import { checkedElements, range, stored, typeNamed } from "./value.ts";

const constant: ReferenceOperator = (node) => [
  node.tensor("value") ?? refuse("a constant that is no tensor"),
];

const constantOfShape: ReferenceOperator = (node) => {
  const shape = [...node.input(0).data];
  const value = node.tensor("value");
  const data = new Float64Array(checkedElements(shape, node.place)).fill(value?.data[0] ?? 0);
  return [{ type: value?.type ?? "float32", shape, data }];
};

/** Between integers and to floats; from floats to integers the standard leaves open what does not fit. */
const cast: ReferenceOperator = (node) => {
  const x = node.input(0);
  const to = node.int("to", 0);
  const type = typeNamed(dataTypeName(to) ?? `type ${to}`, "to");
  const bounds = range(type);
  if (bounds && (!range(x.type) || x.data.some((value) => value < bounds[0] || value > bounds[1])))
    refuse(`casts ${x.type} to ${type}`);
  return [{ type, shape: x.shape, data: x.data.map((value) => stored(type, value)) }];
};

/** Of equal shapes, or with one value on a side. */
const mul: ReferenceOperator = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  if (a.type !== "float32" || b.type !== "float32") refuse(`multiplies ${a.type} by ${b.type}`);
  const whole = a.data.length >= b.data.length ? a : b;
  const other = whole === a ? b : a;
  if (other.data.length !== 1 && `${other.shape}` !== `${whole.shape}`) refuse("broadcasts");
  const at = other.data.length === 1 ? () => 0 : (i: number) => i;
  return [{ ...whole, data: whole.data.map((value, i) => Math.fround(value * other.data[at(i)])) }];
};

const relu: ReferenceOperator = (node) => {
  const x = node.input(0);
  return [{ ...x, data: x.data.map((value) => Math.max(value, 0)) }];
};

const flatten: ReferenceOperator = (node) => {
  const x = node.input(0);
  const axis = node.int("axis", 1);
  const from = axis === x.shape.length ? axis : node.axis(axis, x.shape.length);
  return [{ ...x, shape: [elements(x.shape.slice(0, from)), elements(x.shape.slice(from))] }];
};

export const PLAIN: Record<string, ReferenceOperator> = {
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Cast: cast,
  Mul: mul,
  Relu: relu,
  Flatten: flatten,
};
