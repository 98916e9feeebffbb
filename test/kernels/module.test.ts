import { describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { OPS } from "../../src/kernels/ops.ts";
import { packInt4, unpackInt4 } from "../../src/kernels/weights.ts";

describe.each(BUILDS)("kernel memory of the %s build", (build) => {
  test("gives aligned addresses that do not overlap, and takes them back", async () => {
    const kernels = await bindKernels(await loadKernelModule(build));
    const mark = kernels.mark();
    const addresses = [1, 17, 0, 5].map((bytes) => kernels.allocate(bytes));
    expect(addresses.every((address) => address % 16 === 0)).toBe(true);
    expect(addresses[1] - addresses[0]).toBe(16);
    expect(addresses[2] - addresses[1]).toBe(32);
    kernels.release(mark);
    expect(kernels.allocate(8)).toBe(addresses[0]);
  });

  test("grows to its maximum and says so beyond", async () => {
    const kernels = await bindKernels(await loadKernelModule(build), { initialPages: 1, maximumPages: 3 });
    kernels.allocate(100_000);
    expect(kernels.memory.buffer.byteLength).toBe(2 * 65536);
    expect(() => kernels.allocate(100_000)).toThrow(
      "kernel memory: 100000 more bytes do not fit in 3 pages of 64 KiB (2 held)",
    );
    expect(kernels.allocate(16)).toBeLessThan(2 * 65536);
  });

  test("holds int4 weights in half the bytes of int8 ones", async () => {
    const kernels = await bindKernels(await loadKernelModule(build));
    const dense = { inputDepth: 256, outputDepth: 64, inputOffset: 0, filterOffset: 0, bias: null };
    const output = { outputOffset: 0, activationMin: -128, activationMax: 127 };
    const bytes = ([8, 4] as const).map((weightBits) => {
      const filter = new Int8Array((256 * 64 * weightBits) / 8);
      const args = {
        ...dense,
        ...output,
        requantizer: "float-even" as const,
        scale: [0.01],
        weightBits,
        filter,
      };
      return OPS.FULLY_CONNECTED.prepare(kernels, args).constantBytes;
    });
    expect(bytes[0] - bytes[1]).toBe((256 * 64) / 2);
  });
});

test("binding an operand that a kernel does not have writes nothing", async () => {
  const kernels = await bindKernels(await loadKernelModule("simd"));
  const before = kernels.place(Int32Array.of(7, 7, 7, 7));
  const step = OPS.RESHAPE.prepare(kernels, { elements: 1, elementBytes: 1 });
  step.bind({ input: 16, input2: 99, output: 32, scratch: 48 });
  expect(Array.from(new Int32Array(kernels.memory.buffer, before, 4))).toEqual([7, 7, 7, 7]);
  expect(step.params).toBe(before + 16);
});

test("int4 values pack low nibble first, odd counts included", () => {
  const values = [-8, 7, -1, 0, 3];
  expect(Array.from(packInt4(values))).toEqual([0x78, 0x0f, 0x03]);
  expect(Array.from(unpackInt4(packInt4(values), 5))).toEqual(values);
});
