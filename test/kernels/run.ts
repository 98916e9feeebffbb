/** A step beside its reference, on misaligned operands over dirty memory. */
import { expect } from "vitest";
import type { Op, Step, Values } from "../../src/kernels/args.ts";
import type { Kernels } from "../../src/kernels/module.ts";
import type { Random } from "../../src/random.ts";
import type { Case } from "./cases.ts";

const GUARD = 32;
const FILLER = 0x5a;

function bytesAt(kernels: Kernels, address: number, length: number): Uint8Array {
  return new Uint8Array(kernels.memory.buffer, address, length);
}

/** Allocates at an alignment of `skew` with filler around and inside. Returns the address. */
function guarded(kernels: Kernels, bytes: number, skew: number): number {
  const block = kernels.allocate(bytes + 2 * GUARD);
  bytesAt(kernels, block, bytes + 2 * GUARD).fill(FILLER);
  return block + GUARD / 2 + skew;
}

/** Runs a step on misaligned operands over dirty memory and returns the output's bytes; its guards must hold. */
function run(kernels: Kernels, step: Step, operands: readonly Values[], batches: number, skew: number) {
  const inputs = operands.map((values) => {
    const address = guarded(kernels, values.byteLength, skew);
    bytesAt(kernels, address, values.byteLength).set(new Uint8Array(values.buffer));
    return address;
  });
  const bytes = step.outputBytes * batches;
  const output = guarded(kernels, bytes, skew);
  const scratch = guarded(kernels, step.scratchBytes, 0);
  const pages = kernels.memory.buffer.byteLength;
  const [input, input2] = inputs;
  const second = operands.length > 1 ? { input2 } : {};
  step.bind({ input, ...second, output, scratch, inputs, outputs: [output] });
  step.run(batches);
  expect(kernels.memory.buffer.byteLength).toBe(pages);
  const guards = [output - GUARD / 2, output + bytes, scratch - GUARD / 2, scratch + step.scratchBytes];
  for (const guard of guards) {
    expect(
      bytesAt(kernels, guard, GUARD / 2).every((byte) => byte === FILLER),
      "guard",
    ).toBe(true);
  }
  return bytesAt(kernels, output, bytes).slice();
}

const shown = (_: string, value: unknown) =>
  typeof value === "bigint" ? `${value}n` : ArrayBuffer.isView(value) ? `${value}`.slice(0, 200) : value;

/** Fails where the kernel's bytes are not those of the reference. kernel: what prepare must have chosen. */
export function check<Args>(
  kernels: Kernels,
  op: Op<Args>,
  { args, operands, batches }: Case<Args>,
  random: Random,
  kernel?: string,
): void {
  const mark = kernels.mark();
  const step = op.prepare(kernels, args);
  if (kernel !== undefined) expect(step.kernel).toBe(kernel);
  // int8 at any address; the wider types are aligned as they are in an arena.
  const skew = random.below(4) * (operands[0] instanceof Int8Array ? 1 : 4);
  const actual = run(kernels, step, operands, batches, skew);
  const expected = new Uint8Array(op.reference(args, operands, batches).buffer);
  const first = actual.findIndex((byte, i) => byte !== expected[i]);
  if (first >= 0 || actual.length !== expected.length)
    expect.fail(`byte ${first}: ${JSON.stringify(args, shown)}`);
  kernels.release(mark);
}
