import type { OnnxNode } from "./site.ts";

type Attributes = OnnxNode["attributes"];
type Expand = (node: OnnxNode) => OnnxNode[];

const none: Attributes = new Map();

/** Nodes in the place of one, with values of their own between them. */
class Expansion {
  readonly nodes: OnnxNode[] = [];
  #node: OnnxNode;
  constructor(node: OnnxNode) {
    this.#node = node;
  }
  /** Adds a node; the value it makes, or "" for an operand that is left out. */
  add(op: string, inputs: string[], attributes: Attributes = none, output?: string): string {
    const { index, name, outputs, op: origin } = this.#node;
    const made = output ?? `${outputs[0]}#${this.nodes.length}`;
    this.nodes.push({
      index,
      name: name || outputs[0],
      op,
      origin,
      domain: "",
      inputs,
      outputs: [made],
      attributes,
    });
    return made;
  }
  dequantized([value, scale, zeroPoint]: string[], attributes: Attributes = none): string {
    return this.add("DequantizeLinear", [value, scale, zeroPoint ?? ""], attributes);
  }
  /** Ends the expansion: `value` on the node's own scale as its output. */
  quantized(value: string, scale: string, zeroPoint: string): OnnxNode[] {
    this.add("QuantizeLinear", [value, scale, zeroPoint ?? ""], none, this.#node.outputs[0]);
    return this.nodes;
  }
}

const ATTRIBUTE = { i: 0, f: 0, s: "", t: undefined, floats: [], ints: [], strings: [], type: 2 };
/** An attribute of one number, as a node has it. */
export const attributeOf = (name: string, value: { i: number } | { f: number }) =>
  [name, { ...ATTRIBUTE, ...value, name }] as const;
/** An integer attribute. */
const attribute = (name: string, i: number): Attributes => new Map([attributeOf(name, { i })]);

function convolution(node: OnnxNode): OnnxNode[] {
  const [x, xs, xz, w, ws, wz, ys, yz, bias] = node.inputs;
  const made = new Expansion(node);
  const image = made.dequantized([x, xs, xz]);
  const filter = made.dequantized([w, ws, wz], attribute("axis", 0));
  const real = bias ? made.add("blindspot:DequantizeBias", [bias, xs, ws]) : "";
  const sum = made.add("Conv", [image, filter, real], node.attributes);
  return made.quantized(sum, ys, yz);
}

function product(node: OnnxNode): OnnxNode[] {
  const [a, as, az, b, bs, bz, ys, yz] = node.inputs;
  const made = new Expansion(node);
  const left = made.dequantized([a, as, az]);
  const right = made.dequantized([b, bs, bz], attribute("axis", -1));
  return made.quantized(made.add("MatMul", [left, right]), ys, yz);
}

function gemm(node: OnnxNode): OnnxNode[] {
  const [a, as, az, b, bs, bz, c, ys, yz] = node.inputs;
  const isTransposed = (node.attributes.get("transB")?.i ?? 0) !== 0;
  const made = new Expansion(node);
  const left = made.dequantized([a, as, az]);
  const right = made.dequantized([b, bs, bz], attribute("axis", isTransposed ? 0 : 1));
  const bias = c ? made.add("blindspot:DequantizeBias", [c, as, bs]) : "";
  if (!ys) {
    made.add("Gemm", [left, right, bias], node.attributes, node.outputs[0]);
    return made.nodes;
  }
  return made.quantized(made.add("Gemm", [left, right, bias], node.attributes), ys, yz);
}

/** x, scale, zero point, output scale, output zero point. */
const unary =
  (op: string): Expand =>
  (node) => {
    const [x, xs, xz, ys, yz] = node.inputs;
    const made = new Expansion(node);
    return made.quantized(made.add(op, [made.dequantized([x, xs, xz])], node.attributes), ys, yz);
  };

const binary =
  (op: string): Expand =>
  (node) => {
    const [a, as, az, b, bs, bz, ys, yz] = node.inputs;
    const made = new Expansion(node);
    const [left, right] = [made.dequantized([a, as, az]), made.dequantized([b, bs, bz])];
    return made.quantized(made.add(op, [left, right]), ys, yz);
  };

function concat(node: OnnxNode): OnnxNode[] {
  const [ys, yz, ...rest] = node.inputs;
  const made = new Expansion(node);
  const parts: string[] = [];
  for (let i = 0; i < rest.length; i += 3) parts.push(made.dequantized(rest.slice(i, i + 3)));
  return made.quantized(made.add("Concat", parts, node.attributes), ys, yz);
}

/** x, weights, zero points: an int32 sum, which is a real number of scale 1. */
const accumulated =
  (op: "Conv" | "MatMul"): Expand =>
  (node) => {
    const [a, b, az, bz] = node.inputs;
    const made = new Expansion(node);
    const left = made.dequantized([a, "blindspot:one", az ?? ""]);
    const right = made.add(
      "blindspot:DequantizeInteger",
      [b, bz ?? ""],
      attribute("axis", op === "Conv" ? 0 : -1),
    );
    return made.quantized(made.add(op, [left, right], node.attributes), "blindspot:one", "blindspot:zero");
  };

const onChannelsFirst =
  (expand: Expand): Expand =>
  (node) =>
    (node.attributes.get("channels_last")?.i ?? 0) !== 0
      ? [{ ...node, op: `${node.op} with channels_last` }]
      : expand(node);

/** Operators on integers as dequantized float ones, which fuseQuantization makes integer nodes again: one way for
 * QOperator and QDQ models. Keys are domain:op. */
const EXPANSIONS: Record<string, Expand> = {
  ":QLinearConv": convolution,
  "com.microsoft:QLinearConv": onChannelsFirst(convolution),
  ":QLinearMatMul": product,
  ":ConvInteger": accumulated("Conv"),
  ":MatMulInteger": accumulated("MatMul"),
  "com.microsoft:QGemm": gemm,
  "com.microsoft:QLinearAdd": binary("Add"),
  "com.microsoft:QLinearMul": binary("Mul"),
  "com.microsoft:QLinearGlobalAveragePool": onChannelsFirst(unary("GlobalAveragePool")),
  "com.microsoft:QLinearAveragePool": onChannelsFirst(unary("AveragePool")),
  "com.microsoft:QLinearSigmoid": unary("Sigmoid"),
  "com.microsoft:QLinearLeakyRelu": unary("LeakyRelu"),
  "com.microsoft:QLinearSoftmax": unary("Softmax"),
  "com.microsoft:QLinearConcat": concat,
};
/** com.microsoft's operators that have a row: those that ONNX spells alike, and one of its own. */
const OF_MICROSOFT: Record<string, string> = {
  QuantizeLinear: "QuantizeLinear",
  DequantizeLinear: "DequantizeLinear",
  MatMulNBits: "blindspot:MatMulNBits",
  FusedMatMul: "blindspot:FusedMatMul",
};

/** The nodes with every operator on integers expanded. */
export function expandIntegerOperators(nodes: readonly OnnxNode[]): OnnxNode[] {
  return nodes.flatMap((node) => {
    const key = `${node.domain}:${node.op}`;
    if (Object.hasOwn(EXPANSIONS, key)) return EXPANSIONS[key](node);
    const isOwn = node.domain === "com.microsoft" && Object.hasOwn(OF_MICROSOFT, node.op);
    return isOwn ? [{ ...node, op: OF_MICROSOFT[node.op], origin: node.op, domain: "" }] : [node];
  });
}

interface Links {
  makers: Map<string, OnnxNode>;
  readers: Map<string, OnnxNode[]>;
}

/** Who makes and who reads each value. */
export function linksOf(nodes: readonly OnnxNode[]): Links {
  const makers = new Map<string, OnnxNode>();
  const readers = new Map<string, OnnxNode[]>();
  for (const node of nodes) {
    for (const name of node.outputs) makers.set(name, node);
    for (const name of node.inputs) {
      const known = readers.get(name);
      if (known) known.push(node);
      else readers.set(name, [node]);
    }
  }
  return { makers, readers };
}

/**
 * DynamicQuantizeLinear -> MatMulInteger or ConvInteger -> Cast -> Mul by (activation scale * weight scale), as
 * ONNX Runtime's dynamic quantizer writes it, becomes one multiplication of float activations with quantized
 * weights: what TFLite calls hybrid. outputs: names that must stay.
 */
export function matchDynamic(nodes: readonly OnnxNode[], outputs: ReadonlySet<string>): OnnxNode[] {
  const links = linksOf(nodes);
  const replaced = new Map<OnnxNode, OnnxNode>();
  for (const node of nodes) {
    const isMatMul = node.op === "MatMulInteger";
    if (node.domain !== "" || (!isMatMul && node.op !== "ConvInteger")) continue;
    const match = dynamicMatch(node, links, outputs);
    if (match)
      replaced.set(match.last, {
        ...match.node,
        op: isMatMul ? "blindspot:DynamicMatMul" : "blindspot:DynamicConv",
      });
  }
  return nodes.map((node) => replaced.get(node) ?? node);
}

function dynamicMatch(
  node: OnnxNode,
  { makers, readers }: Links,
  outputs: ReadonlySet<string>,
): { last: OnnxNode; node: OnnxNode } | undefined {
  const [x, weights, xz, wz] = node.inputs;
  const quantize = makers.get(x);
  if (quantize?.op !== "DynamicQuantizeLinear" || quantize.outputs[0] !== x || quantize.outputs[2] !== xz)
    return;
  const soleReader = (name: string) =>
    outputs.has(name) || readers.get(name)?.length !== 1 ? undefined : readers.get(name)![0];
  const cast = soleReader(node.outputs[0]);
  if (cast?.op !== "Cast") return;
  const last = soleReader(cast.outputs[0]);
  if (last?.op !== "Mul" || last.inputs.length !== 2) return;
  const factor = last.inputs.find((name) => name !== cast.outputs[0]);
  const scales = makers.get(factor ?? "");
  if (scales?.op !== "Mul" || scales.inputs.length !== 2 || !scales.inputs.includes(quantize.outputs[1]))
    return;
  const weightScale = scales.inputs.find((name) => name !== quantize.outputs[1]);
  if (!weightScale) return;
  return {
    last,
    node: {
      ...node,
      origin: node.op,
      outputs: last.outputs,
      inputs: [quantize.inputs[0], weights, weightScale, wz ?? ""],
    },
  };
}

/** The nodes that some output needs, in order. */
export function liveNodes(nodes: readonly OnnxNode[], outputs: ReadonlySet<string>): OnnxNode[] {
  const needed = new Set(outputs);
  const live = nodes.toReversed().filter((node) => {
    if (!node.outputs.some((name) => needed.has(name))) return false;
    for (const name of node.inputs) needed.add(name);
    return true;
  });
  return live.reverse();
}
