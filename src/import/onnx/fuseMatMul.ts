/** MatMul with the Transposes before it and the factors around it, as ONNX Runtime's FusedMatMul. */
import type { Constant } from "./constants.ts";
import { attributeOf, linksOf } from "./rewrite.ts";
import type { OnnxNode } from "./site.ts";

/** What the pass needs to know of the model. */
interface Scope {
  outputs: ReadonlySet<string>;
  /** A float32 constant of the file, or undefined. */
  constant(name: string): Constant | undefined;
}

/** A MatMul while nodes around it become part of it. */
interface Product {
  inputs: [string, string];
  isTransposed: [boolean, boolean];
  alpha: number;
  outputs: string[];
}

const f32 = Math.fround;

/** Whether the last two dimensions change places and no others. */
function swapsLast(perm: readonly number[]): boolean {
  const rank = perm.length;
  return rank >= 2 && perm.every((axis, i) => axis === (i < rank - 2 ? i : 2 * rank - 3 - i));
}

class Fusion {
  readonly #scope: Scope;
  readonly #makers: ReadonlyMap<string, OnnxNode>;
  readonly #readers: ReadonlyMap<string, OnnxNode[]>;
  readonly dropped = new Set<OnnxNode>();

  constructor(nodes: readonly OnnxNode[], scope: Scope) {
    const { makers, readers } = linksOf(nodes);
    this.#scope = scope;
    this.#makers = makers;
    this.#readers = readers;
  }

  #soleReader(name: string): OnnxNode | undefined {
    return this.#scope.outputs.has(name) || this.#readers.get(name)?.length !== 1
      ? undefined
      : this.#readers.get(name)![0];
  }

  /** A factor that is one number, which every MatMul's operand has as many dimensions as. */
  #number(name: string): number | undefined {
    const constant = this.#scope.constant(name);
    const isOne = constant?.type === "float32" && constant.data.length === 1 && constant.dims.length <= 2;
    return isOne && !constant.quantization ? Number(constant.data[0]) : undefined;
  }

  #isKnown(name: string): boolean {
    return this.#scope.constant(name) !== undefined;
  }

  /** What a Mul or Div by a number multiplies, and with what; constants are computed beforehand. Source:
   * matmul_scale_fusion.cc, GetScaleFromNode. */
  #scaled(node: OnnxNode | undefined): { value: string; factor: number } | undefined {
    if (node?.domain !== "" || node.inputs.length !== 2 || node.inputs.every((name) => this.#isKnown(name)))
      return undefined;
    const [a, b] = node.inputs;
    if (node.op === "Div") {
      const divisor = this.#number(b);
      return divisor === undefined ? undefined : { value: a, factor: f32(1 / divisor) };
    }
    if (node.op !== "Mul") return undefined;
    const [left, right] = [this.#number(a), this.#number(b)];
    if (left !== undefined) return { value: b, factor: left };
    return right === undefined ? undefined : { value: a, factor: right };
  }

  /** Source: matmul_transpose_fusion.cc. */
  #takeTransposes(product: Product): boolean {
    let taken = false;
    product.inputs.forEach((name, i) => {
      const node = this.#makers.get(name);
      const perm = node?.attributes.get("perm")?.ints ?? [];
      if (node?.op !== "Transpose" || node.domain !== "" || !swapsLast(perm)) return;
      if (this.#scope.outputs.has(name) || this.#isKnown(node.inputs[0])) return;
      product.inputs[i] = node.inputs[0];
      product.isTransposed[i] = !product.isTransposed[i];
      taken = true;
    });
    return taken;
  }

  #takeFactors(product: Product): boolean {
    let taken = false;
    product.inputs.forEach((name, i) => {
      const scaled = this.#scaled(this.#makers.get(name));
      if (!scaled) return;
      product.inputs[i] = scaled.value;
      product.alpha = f32(product.alpha * scaled.factor);
      taken = true;
    });
    const next = this.#soleReader(product.outputs[0]);
    const scaled = this.#scaled(next);
    if (!scaled || scaled.value !== product.outputs[0]) return taken;
    product.alpha = f32(product.alpha * scaled.factor);
    product.outputs = next!.outputs;
    this.dropped.add(next!);
    return true;
  }

  /** A matrix and an Add become a Gemm first, which takes nothing over. Source: matmul_add_fusion.cc. */
  #isGemm({ inputs, outputs }: OnnxNode): boolean {
    return this.#isKnown(inputs[1]) && this.#soleReader(outputs[0])?.op === "Add";
  }

  fused(node: OnnxNode): OnnxNode {
    const [a, b] = node.inputs;
    if (node.op !== "MatMul" || node.domain !== "" || node.inputs.length !== 2 || this.#isGemm(node))
      return node;
    const product: Product = {
      inputs: [a, b],
      isTransposed: [false, false],
      alpha: 1,
      outputs: node.outputs,
    };
    let isNew = false;
    while (this.#takeTransposes(product) || this.#takeFactors(product)) isNew = true;
    if (!isNew) return node;
    const { inputs, isTransposed, alpha, outputs } = product;
    const attributes = new Map([
      attributeOf("transA", { i: isTransposed[0] ? 1 : 0 }),
      attributeOf("transB", { i: isTransposed[1] ? 1 : 0 }),
      attributeOf("alpha", { f: alpha }),
    ]);
    return { ...node, op: "blindspot:FusedMatMul", origin: node.op, inputs, outputs, attributes };
  }
}

/** Nodes that nothing reads any more stay. */
export function fuseMatMuls(nodes: readonly OnnxNode[], scope: Scope): OnnxNode[] {
  const fusion = new Fusion(nodes, scope);
  const fused = nodes.map((node) => fusion.fused(node));
  return fused.filter((_, i) => !fusion.dropped.has(nodes[i]));
}
