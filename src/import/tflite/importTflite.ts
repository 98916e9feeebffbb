import { ModelFormatError, UnsupportedOpError } from "../../errors.ts";
import { elements, type Graph, type Node } from "../../model/graph.ts";
import { outputShape } from "../../model/shapes.ts";
import { validateGraph } from "../../model/validate.ts";
import { type FileModel, type FileOperator, readModel } from "./fileModel.ts";
import { OPERATORS } from "./operators.ts";
import { type Converted, Refusal, Site } from "./site.ts";

const MAX_ELEMENTS = 2 ** 28;
const MAX_NAME = 64;

/**
 * Reads a .tflite file (schema v3, 3a, 3b or 3c) into a Graph. Tensors keep their indices in subgraph 0, and constants
 * are views of `bytes` (copied once where `bytes` itself is not 8-aligned in its buffer), so these must not change
 * afterwards; those that DEQUANTIZE takes become float32 ones. Attributes that TFLite keeps in constant tensors (pads, axes, sizes) become attributes; operators that only
 * compute the shape of a RESHAPE are left out.
 * where: the file's name, which becomes the Graph's.
 * @throws ModelFormatError naming the offset, tensor or node; UnsupportedOpError naming every node that the Graph cannot
 * hold, and graph inputs and outputs likewise.
 */
export function importTflite(bytes: Uint8Array, where: string): Graph {
  const model = readModel(bytes.byteOffset % 8 === 0 ? bytes : bytes.slice(), where);
  const refused: string[] = [];
  const nodes = convertAll(model, where, refused);
  for (const [kind, ids] of [
    ["input", model.inputs],
    ["output", model.outputs],
  ] as const)
    ids.forEach((id, i) => {
      const { refusal, tensor } = model.tensors[id];
      const reason = refusal || (tensor.data ? "a constant" : "");
      if (reason !== "") refused.push(`${kind} ${i} ${shown(tensor.name)}: ${reason}`);
    });
  if (refused.length > 0) throw new UnsupportedOpError(where, refused);
  const tensors = model.tensors.map(({ tensor }) => tensor);
  const graph = { name: where, tensors, nodes, inputs: model.inputs, outputs: model.outputs };
  validateGraph(graph, where);
  return graph;
}

const shown = (name: string) => (name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name);

/** Once a node is refused, the shapes behind it are not known any more, and only further refusals count. */
function convertAll(model: FileModel, where: string, refused: string[]): Node[] {
  const shapeOnly = shapeArithmetic(model);
  return model.operators.flatMap((operator, i) => {
    if (shapeOnly.has(i) || isFolded(model, operator)) return [];
    const name = shown(model.tensors[operator.outputs[0]]?.tensor.name ?? "");
    try {
      return [convert(model, operator, `${where}: node ${i} ${operator.name} ${name}`)];
    } catch (error) {
      if (error instanceof Refusal) refused.push(`${i} ${operator.name} ${name}: ${error.message}`);
      else if (!(error instanceof ModelFormatError) || refused.length === 0) throw error;
      return [];
    }
  });
}

/** Whether it dequantizes a constant, which is then one of float32: converters store weights in float16 or int8 so. */
function isFolded({ tensors }: FileModel, { name, inputs, outputs }: FileOperator): boolean {
  if (name !== "DEQUANTIZE" || inputs.length !== 1 || outputs.length !== 1 || inputs[0] === -1) return false;
  const { dequantized } = tensors[inputs[0]];
  const { tensor, refusal } = tensors[outputs[0]];
  if (!dequantized || refusal !== "" || tensor.dtype !== "float32" || tensor.data) return false;
  const { shape, data } = dequantized();
  if (String(shape) !== String(tensor.shape)) return false;
  tensor.data = data;
  return true;
}

function convert(model: FileModel, operator: FileOperator, place: string): Node {
  const { inputs, outputs } = operator;
  const site = new Site(operator.name, operator.table, model.tensors, { inputs, outputs }, place);
  const row = OPERATORS.get(operator.name);
  if (!row) return site.refuse("not an operator that Blindspot imports");
  for (const id of [...inputs, ...outputs]) {
    const refusal = id === -1 ? "" : model.tensors[id].refusal;
    if (refusal !== "") site.refuse(`tensor ${shown(model.tensors[id].tensor.name)}: ${refusal}`);
  }
  const [leastOutputs, mostOutputs] = row.outputs ?? [1, 1];
  checkCount(site, "inputs", inputs.length, row.inputs);
  checkCount(site, "outputs", outputs.length, [leastOutputs, mostOutputs]);
  for (let i = 0; i < row.inputs[0]; i++) site.tensor(i);
  const converted = row.read(site);
  settleShapes(site, converted);
  return { ...converted, name: model.tensors[outputs[0]].tensor.name, outputs: [...outputs] } as Node;
}

function checkCount(site: Site, what: string, count: number, [least, most]: readonly [number, number]): void {
  if (count < least || count > most)
    site.malformed(`${least === most ? least : `${least} to ${most}`} ${what}`, `${count}`);
}

/** The shapes that follow from the operands must be the file's, or take their place where the file leaves them open. */
function settleShapes(site: Site, node: Converted): void {
  const derived = derivedShapes(site, node);
  derived.forEach((shape, i) => {
    const output = site.output(i);
    const count = elements(shape);
    if (!shape.every((size) => Number.isInteger(size) && size > 0) || count > MAX_ELEMENTS)
      site.malformed(`an output of 1 to ${MAX_ELEMENTS} elements`, `[${shape}]`);
    const declared = output.tensor.shape;
    if (String(declared) === String(shape)) return;
    if (!output.dynamic) site.malformed(`output ${i} of shape [${shape}]`, `[${declared}]`);
    output.tensor.shape = shape;
  });
}

function derivedShapes(site: Site, node: Converted): number[][] {
  const shapes = node.inputs.map((id) => site.shapeOf(id));
  if (node.op === "SPLIT") {
    const { axis, sizes } = node.attributes;
    return sizes.map((size) => shapes[0].map((length, i) => (i === axis ? size : length)));
  }
  const shape = outputShape(node as Node, shapes);
  // keep_num_dims: [batch, 1, …, 1, out] beside the Graph's [batch, out].
  const declared = site.output().tensor.shape;
  const padded =
    node.op === "FULLY_CONNECTED" && declared.length > 2 && elements(declared) === elements(shape);
  return [padded && declared[0] === shape[0] ? declared : shape];
}

/** Operators whose results end as the shape of a RESHAPE and nowhere else. */
function shapeArithmetic({ operators, outputs }: FileModel): Set<number> {
  const values = new Set(outputs);
  const shapes = new Set<number>();
  const found = new Set<number>();
  for (let i = operators.length - 1; i >= 0; i--) {
    const { name, inputs, outputs: made } = operators[i];
    const onlyShape = made.some((id) => shapes.has(id)) && !made.some((id) => values.has(id));
    if (onlyShape) found.add(i);
    inputs.forEach((id, operand) => {
      if (onlyShape || (name === "RESHAPE" && operand === 1)) shapes.add(id);
      else values.add(id);
    });
  }
  return found;
}

/** Whether the bytes look like a .tflite file. */
export function isTflite(bytes: Uint8Array): boolean {
  return bytes.length >= 8 && String.fromCharCode(...bytes.subarray(4, 8)) === "TFL3";
}
