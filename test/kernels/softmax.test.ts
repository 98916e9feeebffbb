import { beforeAll, describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import type { SoftmaxArgs } from "../../src/kernels/args.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { OPS } from "../../src/kernels/ops.ts";
import { softmaxMultiplier } from "../../src/kernels/requantize.ts";

for (const build of BUILDS) {
  describe(`softmax in the ${build} build`, () => {
    let kernels: Kernels;
    beforeAll(async () => {
      kernels = await bindKernels(await loadKernelModule(build));
    });
    const run = (args: SoftmaxArgs, row: Int8Array) => {
      const mark = kernels.mark();
      const step = OPS.SOFTMAX.prepare(kernels, args);
      const [input, output] = [kernels.place(row), kernels.allocate(step.outputBytes)];
      step.bind({ input, output, scratch: kernels.allocate(step.scratchBytes) });
      step.run(1);
      const result = new Int8Array(kernels.memory.buffer, output, row.length).slice();
      kernels.release(mark);
      return result;
    };
    const fixed = (rowSize: number, scale: number): SoftmaxArgs => ({
      rows: 1,
      rowSize,
      form: "fixed-point",
      ...softmaxMultiplier(scale, 1),
    });

    test("gives TFLite's reference outputs", () => {
      expect(Array.from(run(fixed(5, 0.1), Int8Array.of(10, 20, -30, 40, 40)))).toEqual([
        -122, -112, -128, -11, -11,
      ]);
      expect(Array.from(run(fixed(3, 0.05), Int8Array.of(127, -128, 0)))).toEqual([127, -128, -128]);
    });

    test.each([511, 512, 513, 1023, 4095, 4096, 4097, 8191, 8192, 20000])(
      "of %i equal logits is their share",
      (size) => {
        // 256/512 is a tie, and the fixed-point reciprocal is just below it.
        const share = size < 512 ? Math.round(256 / size) - 128 : -128;
        const row = new Int8Array(size).fill(-31);
        expect(new Set(run(fixed(size, 0.1), row))).toEqual(new Set([share]));
        expect(Array.from(run(fixed(size, 0.1), row))).toEqual(
          Array.from(OPS.SOFTMAX.reference(fixed(size, 0.1), [row], 1)),
        );
      },
    );

    test("by table and in fixed point differ in a known place", () => {
      const scale = Math.fround(0.03096183);
      const row = Int8Array.from([-47, 0, -43, -52, -51, -13, -2, -51, -26, -35, -37]);
      const table: SoftmaxArgs = {
        rows: 1,
        rowSize: 11,
        form: "float-table",
        scale,
        outputScale: 1 / 256,
        outputOffset: -128,
      };
      expect(run(fixed(11, scale), row)[5]).toBe(-93);
      expect(run(table, row)[5]).toBe(-92);
    });
  });
}
