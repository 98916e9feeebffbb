import { type Constant, constantOf } from "./constants.ts";
import type { OnnxNode } from "./site.ts";

const RANGES = { int8: [-128, 127], uint8: [0, 255] } as const;
type Code = keyof typeof RANGES;

/** The one scale and zero point of a pair. */
interface End {
  scale: number;
  zeroPoint: number;
  type: Code;
}

const f32 = Math.fround;
const roundHalfAway = (value: number) => Math.sign(value) * Math.floor(Math.abs(value) + 0.5);

/** The ends of the range that two pairs have in common, over all codes. */
function common(a: End, b: End): End {
  if (a.zeroPoint === b.zeroPoint && a.scale === b.scale) return a;
  const [low, high] = RANGES[a.type];
  const real = (code: number, { scale, zeroPoint }: End) => f32((code - zeroPoint) * scale);
  const least = Math.max(real(low, a), real(low, b));
  const scale = f32(f32(Math.min(real(high, a), real(high, b)) - least) / (high - low));
  return { scale, zeroPoint: roundHalfAway(f32(low - f32(least / scale))), type: a.type };
}

/** What the pass needs to know of the model. */
interface Scope {
  outputs: ReadonlySet<string>;
  /** A constant of one element, or undefined. */
  scalar(name: string): Constant | undefined;
  define(name: string, value: Constant): void;
}

/**
 * QuantizeLinear -> DequantizeLinear -> QuantizeLinear -> DequantizeLinear of two scales as one pair, whose range is what they
 * have in common. Source: microsoft/onnxruntime 0093de1, double_qdq_pairs_remover.cc.
 */
export function mergeDoublePairs(nodes: readonly OnnxNode[], { outputs, scalar, define }: Scope): OnnxNode[] {
  const own = nodes.map((node) => ({ ...node }));
  const makers = new Map(own.flatMap((node) => node.outputs.map((name) => [name, node])));
  const readers = new Map<string, OnnxNode[]>();
  for (const node of own)
    for (const name of node.inputs) {
      const known = readers.get(name);
      if (known) known.push(node);
      else readers.set(name, [node]);
    }
  const soleReader = ({ outputs: [name] }: OnnxNode): OnnxNode | undefined =>
    !outputs.has(name) && readers.get(name)?.length === 1 ? readers.get(name)![0] : undefined;

  const isPair = (q: OnnxNode | undefined, dq: OnnxNode | undefined) =>
    q?.op === "QuantizeLinear" && dq?.op === "DequantizeLinear" && soleReader(q) === dq;

  /** The one scale and zero point of a pair; undefined where they are not given, not one, or differ. */
  const endOf = ({ inputs: [, ...a] }: OnnxNode, { inputs: [, ...b] }: OnnxNode): End | undefined => {
    const [scale, zeroPoint] = [scalar(a[0]), scalar(a[1] ?? "")];
    const [scale2, zeroPoint2] = [scalar(b[0]), scalar(b[1] ?? "")];
    if (scale?.type !== "float32" || !zeroPoint || !Object.hasOwn(RANGES, zeroPoint.type)) return undefined;
    if (scale.data[0] !== scale2?.data[0] || zeroPoint.type !== zeroPoint2?.type) return undefined;
    if (zeroPoint.data[0] !== zeroPoint2.data[0]) return undefined;
    const type = zeroPoint.type as Code;
    return { scale: Number(scale.data[0]), zeroPoint: Number(zeroPoint.data[0]), type };
  };

  const dropped = new Set<OnnxNode>();
  for (const dq of own) {
    const q = makers.get(dq.inputs[0]);
    const next = soleReader(dq);
    const last = next && soleReader(next);
    if (!isPair(q, dq) || !isPair(next, last)) continue;
    const [first, second] = [endOf(q!, dq), endOf(next!, last!)];
    if (!first || !second || first.type !== second.type) continue;
    const { scale, zeroPoint, type } = common(first, second);
    const names = [`${dq.outputs[0]}#scale`, `${dq.outputs[0]}#zero`];
    define(names[0], constantOf(names[0], [], "float32", [scale]));
    define(names[1], constantOf(names[1], [], type, [zeroPoint]));
    q!.inputs = [q!.inputs[0], ...names];
    last!.inputs = [q!.outputs[0], ...names];
    readers.set(q!.outputs[0], [last!]);
    dropped.add(dq).add(next!);
  }
  return own.filter((node) => !dropped.has(node));
}
