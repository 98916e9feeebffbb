/** A model of quantized operators while it is drawn: scales and zero points of every size, and at their ends. */
import { elements } from "../../src/model/graph.ts";
import type { Random } from "../../src/random.ts";
import { between, pick } from "../kernels/cases.ts";
import { type NodeDraft, node, tensor } from "./onnxModels.ts";
import type { Feed } from "./onnxRuntime.ts";

export type Code = "int8" | "uint8";
type Attributes = Parameters<typeof node>[3];

/** The lowest code. */
const LOWEST = { int8: -128, uint8: 0 };

interface Range {
  low: number;
  step: number;
}

/** of: dimensions; axis: of the output channels. */
export interface Weights {
  of: number[];
  axis: number;
  type?: Code;
  perChannel?: boolean;
  bias?: boolean;
}

export class QuantizedDraft {
  readonly random: Random;
  /** Of activations. */
  readonly type: Code;
  readonly nodes: NodeDraft[] = [];
  readonly constants: ReturnType<typeof tensor>[] = [];
  readonly feeds: Record<string, Feed> = {};
  readonly #ranges = new Map<string, Range>();

  constructor(random: Random, type: Code) {
    this.random = random;
    this.type = type;
  }

  add(op: string, inputs: string, output: string, attributes: Attributes = {}): void {
    this.nodes.push(node(op, inputs, output, attributes));
  }

  constant(
    name: string,
    type: Parameters<typeof tensor>[1],
    dims: number[],
    values: ArrayLike<number>,
  ): void {
    this.constants.push(tensor(name, type, dims, values as never));
  }

  /** As real models have them; of one in eight any power of ten. */
  step(): number {
    const { random } = this;
    return Math.fround(
      random.below(8) === 0 ? 10 ** (random.uniform() * 8 - 5) : 0.005 + random.uniform() / 10,
    );
  }

  /** `name`_s and `name`_z; one zero point in four is at an end. */
  scale(name: string, step = this.step()): Range {
    const { random, type } = this;
    const zero = LOWEST[type] + (random.below(4) === 0 ? pick(random, 0, 128, 255) : random.below(256));
    this.constant(`${name}_s`, "float32", [], [step]);
    this.constant(`${name}_z`, type, [], [zero]);
    const range = { low: (LOWEST[type] - zero) * step, step };
    this.#ranges.set(name, range);
    return range;
  }

  /** QuantizeLinear and DequantizeLinear, of the scale of this name. */
  pair(from: string, to: string, scale = to): void {
    const ends = `${scale}_s ${scale}_z`;
    this.add("QuantizeLinear", `${from} ${ends}`, `${to}_q`);
    this.add("DequantizeLinear", `${to}_q ${ends}`, to);
  }

  /** The quantized result y of r, at a scale of its own or, where it may be, at that of `shared`. */
  result(shared?: string): void {
    const name = shared !== undefined && this.random.below(2) === 0 ? shared : "y";
    if (name === "y") this.scale("y");
    this.pair("r", "y", name);
  }

  codes(count: number, type: Code = this.type): Int8Array | Uint8Array {
    const codes = Uint8Array.from({ length: count }, () => this.random.below(256));
    return type === "uint8" ? codes : new Int8Array(codes.buffer);
  }

  /** An input of codes. */
  codesInput(name: string, shape: number[]): void {
    this.scale(name);
    this.feeds[name] = [this.type, shape, this.codes(elements(shape))];
  }

  /** An input of real values in the range of the codes, quantized. */
  realInput(name: string, shape: number[]): void {
    const { low, step } = this.scale(name);
    const values = Float32Array.from({ length: elements(shape) }, () => low + this.random.below(256) * step);
    this.feeds[`${name}_x`] = ["float32", shape, values];
    this.pair(`${name}_x`, name);
  }

  /** w, ws, wz and, with a bias, b of a product with x. int8 has the zero point 0, uint8 any. */
  filter({ of, axis, type = "int8", perChannel, bias }: Weights): void {
    const { random } = this;
    const channels = of[axis];
    const shape = perChannel ? [channels] : [];
    const scales = Array.from({ length: perChannel ? channels : 1 }, () =>
      Math.fround(0.001 + random.uniform() / 50),
    );
    const zeros = scales.map(() => 0);
    this.constant("w", type, of, this.codes(elements(of), type));
    this.constant("ws", "float32", shape, scales);
    this.constant("wz", type, shape, type === "int8" ? zeros : zeros.fill(random.below(256)));
    if (!bias) return;
    const step = this.#ranges.get("x")!.step;
    this.constant(
      "b",
      "int32",
      [channels],
      Int32Array.from({ length: channels }, () => between(random, -9999, 9999)),
    );
    this.constant(
      "bs",
      "float32",
      shape,
      scales.map((scale) => Math.fround(scale * step)),
    );
    this.constant(
      "bz",
      "int32",
      shape,
      scales.map(() => 0),
    );
  }

  /** The filter dequantized; returns the operands. */
  weights(weights: Weights): string {
    this.filter(weights);
    this.add("DequantizeLinear", "w ws wz", "wd", weights.perChannel ? { axis: weights.axis } : {});
    if (!weights.bias) return "wd";
    this.add("DequantizeLinear", "b bs bz", "bd", weights.perChannel ? { axis: 0 } : {});
    return "wd bd";
  }

  /** A scale for y that a sum of so many products of x fills. */
  scaleOfSum(products: number): void {
    const { step } = this.#ranges.get("x")!;
    this.scale("y", Math.fround(step * 0.4 * Math.sqrt(products) * (0.5 + this.random.uniform())));
  }
}
