import { expect } from "vitest";
import type { Op, Step, Values } from "../../src/kernels/args.ts";
import type { Kernels } from "../../src/kernels/module.ts";
import type { Random } from "../../src/random.ts";
import type { Case } from "./cases.ts";

const GUARD = 32;
const FILLER = 0x5a;

const bytesAt = (kernels: Kernels, address: number, length: number) =>
  new Uint8Array(kernels.memory.buffer, address, length);

/** `bytes` of filler between guards of filler, `skew` past an aligned address. */
function guarded(kernels: Kernels, bytes: number, skew: number): number {
  const block = kernels.allocate(bytes + 2 * GUARD);
  bytesAt(kernels, block, bytes + 2 * GUARD).fill(FILLER);
  return block + GUARD / 2 + skew;
}

/** The output's bytes of a step on misaligned operands over dirty memory; guards checked. */
function run(kernels: Kernels, step: Step, operands: readonly Values[], batches: number, skew: number) {
  const [input, input2] = operands.map((values) => {
    const address = guarded(kernels, values.byteLength, skew);
    bytesAt(kernels, address, values.byteLength).set(new Uint8Array(values.buffer));
    return address;
  });
  const bytes = step.outputBytes * batches;
  const output = guarded(kernels, bytes, skew);
  const scratch = guarded(kernels, step.scratchBytes, 0);
  step.bind(operands.length > 1 ? { input, input2, output, scratch } : { input, output, scratch });
  step.run(batches);
  for (const guard of [output - GUARD / 2, output + bytes, scratch - GUARD / 2, scratch + step.scratchBytes])
    expect(bytesAt(kernels, guard, GUARD / 2).every((byte) => byte === FILLER)).toBe(true);
  return bytesAt(kernels, output, bytes).slice();
}

const shown = (_: string, value: unknown) =>
  typeof value === "bigint" ? `${value}n` : ArrayBuffer.isView(value) ? `${value}`.slice(0, 200) : value;

/** Fails where the kernel's bytes are not those of the reference. */
export function checkCase<Args>(
  kernels: Kernels,
  op: Op<Args>,
  { args, operands, batches }: Case<Args>,
  random: Random,
): void {
  const mark = kernels.mark();
  const step = op.prepare(kernels, args);
  const actual = run(kernels, step, operands, batches, random.below(4) * 4);
  const expected = new Uint8Array(op.reference(args, operands, batches).buffer);
  const first = actual.findIndex((byte, i) => byte !== expected[i]);
  if (first >= 0 || actual.length !== expected.length)
    expect.fail(`byte ${first}: ${JSON.stringify(args, shown)}`);
  kernels.release(mark);
}
