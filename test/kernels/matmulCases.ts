/** Random matrix products of every layout, and those of int8. */
import { elementsOf, type MatMulShape, mergedDimensions } from "../../src/kernels/matmul.ts";
import type { Random } from "../../src/random.ts";
import {
  type ArgsOf,
  between,
  type Case,
  fixedPoint,
  floatScale,
  inputOffset,
  int8s,
  output,
  pick,
} from "./cases.ts";

/** xCount, yCount: elements of the operands of all batches. */
export function matMulShape(random: Random) {
  const batches = between(random, 1, 3);
  const dimensions = Array.from({ length: random.below(4) }, () => {
    return {
      size: between(random, 1, 3),
      ...pick(random, { x: true, y: true }, { x: true, y: false }, { x: false, y: true }),
    };
  });
  const shared = pick(random, {}, {}, { xShared: true }, { yShared: true });
  const args: MatMulShape = {
    ...{ rows: pick(random, 1, 1, between(random, 2, 5)), columns: between(random, 1, 11) },
    depth: pick(random, between(random, 1, 20), between(random, 1, 20), 300),
    dimensions: mergedDimensions(dimensions),
    ...{ adjX: random.below(3) === 0, adjY: random.below(3) === 0, xShared: false, yShared: false },
    ...shared,
  };
  const { x, y } = elementsOf(args);
  return { args, batches, xCount: args.xShared ? x : batches * x, yCount: args.yShared ? y : batches * y };
}

function batchMatMul(random: Random): Case<ArgsOf<"BATCH_MATMUL">> {
  const { args, batches, xCount, yCount } = matMulShape(random);
  const scaling = random.below(3) === 0 ? floatScale(random, 1) : fixedPoint(random, 1);
  return {
    args: {
      ...{ ...args, ...output(random), ...scaling },
      ...{ xOffset: inputOffset(random), yOffset: inputOffset(random) },
    },
    operands: [int8s(random, xCount), int8s(random, yCount)],
    batches,
  };
}

export const MATMUL_CASES = { BATCH_MATMUL: batchMatMul };
