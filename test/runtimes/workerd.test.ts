import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Digests } from "./cases.ts";
import { digestsHere, packedCases } from "./given.ts";
import { startWorkerd, type Workerd } from "./workerd.ts";

describe("workerd", () => {
  let workerd: Workerd;
  let [here, there]: Digests[] = [];
  beforeAll(async () => {
    const packed = await packedCases();
    const contents = `
      import kernels from "./kernels.simd.wasm";
      import { allDigests, unpack } from "./test/runtimes/cases.ts";
      const packed = ${JSON.stringify(packed)};
      export default { fetch: async () => Response.json(await allDigests(unpack(packed, kernels))) };
    `;
    workerd = await startWorkerd({ contents });
    here = await digestsHere(packed);
    there = (await (await fetch(workerd.url)).json()) as Digests;
  });
  afterAll(() => workerd?.stop());

  it("computes every kernel, model and defense to the bytes of Node", () => expect(there).toEqual(here));
});
