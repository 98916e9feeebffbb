/** The order in which a runtime sums the products of one output, as data. */
import { fusedMultiplyAdd } from "../fused.ts";
import { f32 } from "./forms.ts";

/** The wasm module numbers them by their place. */
export const BIAS_ORDERS = ["last", "first", "first-of-blocks", "four-sums", "vector", "eight-sums"] as const;

/** Row and column of a filter, or of an image. */
export interface Tap {
  y: number;
  x: number;
}

/** none: times 0, to fill up four. */
export interface Term extends Tap {
  channel: number;
  none?: true;
}

export interface Order {
  /** Tap and channel of each product. */
  terms: Term[];
  /** Products summed by themselves. */
  block: number;
  /** Where the bias is last: products whose blocks are summed by themselves. All where it is not given. */
  run?: number;
  bias: (typeof BIAS_ORDERS)[number];
  /** Each product is added unrounded. */
  isFused?: boolean;
  /** Of "vector" and of eight sums: outputs whose places say how they are summed, which are channels of a group or pixels. Under
   * "vector" the products of the last ones, which four do not divide, are summed by fours, and -0 stays at a bound. */
  tree?: { rows: number; byPixel: boolean };
}

export function taps(height: number, width: number, byColumns: boolean): Tap[] {
  const count = height * width;
  return Array.from({ length: count }, (_, i) =>
    byColumns ? { y: i % height, x: Math.floor(i / height) } : { y: Math.floor(i / width), x: i % width },
  );
}

/** A run's length made a multiple of four. */
export function filledUp(run: Term[]): Term[] {
  const rest = (4 - (run.length % 4)) % 4;
  return [...run, ...new Array<Term>(rest).fill({ ...run[0], none: true })];
}

/** How the eight sums of an output at this place among `rows` are added. Source: mlas x86_64/SgemmKernelM1TransposeBAvx.S. */
function addEight(l: readonly number[], place: number, rows: number): number {
  const fours = rows & ~3;
  const halves = (of: (first: number) => number) => f32(of(0) + of(4));
  if (place < fours) return halves((i) => f32(f32(f32(l[i] + l[i + 1]) + l[i + 2]) + l[i + 3]));
  if (place >= fours + (rows & 2)) return halves((i) => f32(f32(l[i] + l[i + 1]) + f32(l[i + 2] + l[i + 3])));
  const [even, odd] = [0, 1].map((i) => f32(f32(l[i + 2] + l[i]) + f32(l[i + 6] + l[i + 4])));
  return f32(even + odd);
}

/** One product after the other, from the addend or without it the first product on; where isLeft, by fours in every block.
 * Source: ONNX Runtime 1.30.0, SgemvKernelWasmSimd.cpp. */
export function vectorSum(
  products: readonly number[],
  block: number,
  isLeft: boolean,
  addend?: number,
): number {
  const skipped = addend === undefined ? 1 : 0;
  let sum = addend ?? products[0];
  const add = (some: readonly number[]) => {
    sum = f32(sum + some.slice(1).reduce((acc, each) => f32(acc + each), some[0]));
  };
  for (let first = 0; first < products.length; first += block) {
    const own = products.slice(Math.max(first, skipped), first + block);
    const fours = isLeft ? own.length & ~3 : 0;
    for (let k = 0; k < fours; k += 4) add(own.slice(k, k + 4));
    for (const each of own.slice(fours)) add([each]);
  }
  return sum;
}

/** What stands for no bias: what changes no sum. */
export const withoutBias = ({ bias }: Order) => (bias === "vector" ? -0 : 0);

/** Whether a place is one of the last that four do not divide. */
export const isLeftOver = ({ bias, tree }: Order, place: number): boolean =>
  bias === "vector" && place >= (tree!.rows & ~3);

type Operands = (term: Term) => readonly [value: number, weight: number];

/** start: the bias; place: of the output among those of `tree`, or of several such; operands: of a term, 0 where it lies in the
 * padding; addend: what sums whose bias comes last start from. */
export function sumInOrder(
  order: Order,
  start: number,
  place: number,
  operands: Operands,
  addend?: number,
): number {
  const { terms, block, bias, tree } = order;
  const product = (term: Term) => {
    const [value, weight] = operands(term);
    return f32(value * weight);
  };
  const next = (sum: number, term: Term) =>
    order.isFused ? fusedMultiplyAdd(...operands(term), sum) : f32(sum + product(term));
  const every = (at: number, step: number, from: number) =>
    terms.filter((_, k) => k % step === at).reduce(next, from);
  if (bias === "four-sums")
    return f32(f32(every(0, 4, start) + every(2, 4, 0)) + f32(every(1, 4, 0) + every(3, 4, 0)));
  if (bias === "eight-sums") {
    const lanes = Array.from({ length: 8 }, (_, at) => every(at, 8, 0));
    return f32(addEight(lanes, place % tree!.rows, tree!.rows) + start);
  }
  if (bias === "vector")
    return f32(vectorSum(terms.map(product), block, isLeftOver(order, place), addend) + start);
  if (bias === "first") return terms.reduce(next, start);
  const blocks = (some: readonly Term[], from: number) => {
    let total = from;
    for (let first = 0; first < some.length; first += block)
      total = f32(total + some.slice(first, first + block).reduce(next, 0));
    return total;
  };
  if (bias === "first-of-blocks") return blocks(terms, start);
  const run = order.run ?? terms.length;
  let total = 0;
  for (let first = 0; first < terms.length; first += run)
    total = f32(total + blocks(terms.slice(first, first + run), addend ?? 0));
  return f32(total + start);
}
