import { CONVOLUTION } from "./convolution.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import { MOVEMENT } from "./movement.ts";
import { POOLS } from "./pools.ts";
import { QUANTIZATION } from "./quantization.ts";
import { RESIZE } from "./resize.ts";
import type { Row, Rows } from "./site.ts";

const ROWS: Rows = { ...CONVOLUTION, ...POOLS, ...ELEMENTWISE, ...MOVEMENT, ...RESIZE, ...QUANTIZATION };

/** The row of an operator; undefined where there is none. */
export function rowOf(op: string): Row | undefined {
  return Object.hasOwn(ROWS, op) ? ROWS[op] : undefined;
}
