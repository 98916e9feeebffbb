import { beforeAll, describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { UnsupportedOpError } from "../../src/errors.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import type { Graph, Node, Tensor } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";

const quantization = (scale: number, zeroPoint = 0) => ({
  scale: Float32Array.of(scale),
  zeroPoint: Int32Array.of(zeroPoint),
});
const tensor = (shape: number[], scale: number, zeroPoint = 0, data?: Int8Array): Tensor => ({
  name: "t",
  shape,
  dtype: "int8",
  quantization: quantization(scale, zeroPoint),
  ...(data && { data }),
});
const graphOf = (tensors: Tensor[], nodes: Node[]): Graph => ({
  name: "g",
  tensors,
  nodes,
  inputs: [0],
  outputs: [tensors.length - 1],
});
const ramp = (length: number) => Int8Array.from({ length }, (_, i) => ((i * 37) % 256) - 128);

for (const build of BUILDS)
  describe(`operands in the ${build} build`, () => {
    let profiles: Map<string, Profile>;
    beforeAll(async () => {
      profiles = await shippedProfiles();
    });
    const run = async (graph: Graph, input: Int8Array, count: number, id = "stm32l4r5-cmsis-nn") =>
      compile(graph, profiles.get(id)!, await bindKernels(await loadKernelModule(build)), { chunk: 2 }).run(
        [input],
        count,
      )[0];

    it("binding a one-operand op leaves the parameters before it whole", async () => {
      const identity = Int8Array.from({ length: 64 }, (_, i) => (i % 9 === 0 ? 1 : 0));
      const tensors = [
        tensor([1, 2, 2, 8], 1),
        { ...tensor([8, 1, 1, 8], 1), data: identity },
        tensor([1, 2, 2, 8], 1),
        tensor([1, 1, 1, 8], 1),
      ];
      const window = { padding: "VALID", strideHeight: 1, strideWidth: 1, activation: "NONE" } as const;
      const nodes: Node[] = [
        {
          op: "CONV_2D",
          name: "c",
          inputs: [0, 1],
          outputs: [2],
          attributes: { ...window, dilationHeight: 1, dilationWidth: 1 },
        },
        {
          op: "MAX_POOL_2D",
          name: "p",
          inputs: [2],
          outputs: [3],
          attributes: { ...window, filterHeight: 2, filterWidth: 2 },
        },
      ];
      const input = ramp(2 * 32);
      const expected = Array.from({ length: 16 }, (_, i) =>
        Math.max(...[0, 8, 16, 24].map((pixel) => input[(i >> 3) * 32 + pixel + (i & 7)])),
      );
      expect([...(await run(graphOf(tensors, nodes), input, 2))]).toEqual(expected);
    });

    for (const [op, of] of [
      ["ADD", (x: number, c: number) => x + c],
      ["SUB", (x: number, c: number) => x - c],
      ["MUL", (x: number, c: number) => x * c],
    ] as const)
      for (const [shape, constant, at] of [
        [[], [3], () => 0],
        [[2], [3, -2], (i: number) => i % 2],
        [[1, 3, 1], [3, -2, 5], (i: number) => Math.floor(i / 2) % 3],
        [[1, 2, 3, 2], [...ramp(12)].map((v) => v >> 5), (i: number) => i % 12],
      ] as [number[], number[], (i: number) => number][])
        for (const id of ["stm32l4r5-cmsis-nn", "android-litert-xnnpack"])
          it(`${op} spreads a constant [${shape}], second or first, over every image on ${id}`, async () => {
            const tensors = [
              tensor([1, 2, 3, 2], 1, 4),
              tensor(shape, 1, 1, Int8Array.from(constant)),
              tensor([1, 2, 3, 2], 1, -3),
            ];
            const nodes = [
              { op, name: "n", inputs: [0, 1], outputs: [2], attributes: { activation: "NONE" } },
            ] as Node[];
            const input = ramp(36);
            const expected = Array.from(input, (q, i) => {
              const real = of(q - 4, constant[at(i)] - 1);
              return Math.min(127, Math.max(-128, real - 3));
            });
            expect([...(await run(graphOf(tensors, nodes), input, 3, id))]).toEqual(expected);
            const turned = Array.from(input, (q, i) =>
              Math.min(127, Math.max(-128, of(constant[at(i)] - 1, q - 4) - 3)),
            );
            const first = nodes.map((node) => ({ ...node, inputs: [1, 0] })) as Node[];
            expect([...(await run(graphOf(tensors, first), input, 3, id))]).toEqual(turned);
          });

    it("names two constants, and a constant that does not broadcast", async () => {
      const attributes = { activation: "NONE" } as const;
      const constant = tensor([1, 4], 1, 0, ramp(4));
      const both = graphOf(
        [tensor([1, 4], 1), constant, tensor([1, 4], 1)],
        [{ op: "ADD", name: "n", inputs: [1, 1], outputs: [2], attributes }],
      );
      const error = await run(both, ramp(4), 1).catch((reason) => reason);
      expect(error).toBeInstanceOf(UnsupportedOpError);
      expect(error.message).toContain("inputs: needs an activation, both are constants");
      const graph = graphOf(
        [tensor([1, 4], 1), tensor([3], 1, 0, ramp(3)), tensor([1, 4], 1)],
        [{ op: "ADD", name: "n", inputs: [0, 1], outputs: [2], attributes }],
      );
      await expect(run(graph, ramp(4), 1)).rejects.toThrow("needs to broadcast to one image");
    });
  });
