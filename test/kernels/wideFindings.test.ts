import { expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { verifyVectorFile } from "../../src/kernels/vectors.ts";
import { describeShared, sharedJson } from "./shared.ts";

interface Finding {
  cases: { outputs_by_build: Record<string, { output: number[] }> }[];
}

/** Sums beyond 32 bits on which CMSIS-NN's cores disagree, and the core that adds them in 64. */
const FINDINGS = [
  ["D8-conv-s16-leftover-column.json", "cortex-m55"],
  ["D9-fc-s16-512-all-min.json", "cortex-m3"],
] as const;

describeShared("CMSIS-NN's int64 sums", "vectors/cmsis-nn-findings", () => {
  for (const build of BUILDS)
    test.each(FINDINGS)(`of %s are those of %s in the ${build} build`, async (file, core) => {
      const finding = sharedJson(`vectors/cmsis-nn-findings/${file}`) as Finding;
      const cases = finding.cases.map(({ outputs_by_build, ...values }) => ({
        ...values,
        output: Buffer.from(Int16Array.from(outputs_by_build[core].output).buffer).toString("base64"),
      }));
      const kernels = await bindKernels(await loadKernelModule(build));
      const results = [...verifyVectorFile(kernels, { ...finding, cases }, file)];
      expect(results.filter(({ passed }) => !passed)).toEqual([]);
      expect(results.length).toBe(cases.length);
    });
});
