import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { UnsupportedOpError } from "../../src/errors.ts";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { planArena } from "../../src/model/arena.ts";
import { compile } from "../../src/model/compile.ts";
import type { Graph } from "../../src/model/graph.ts";
import { quantizeStatic } from "../../src/quantize/ptq.ts";
import { activationQuantization } from "../../src/quantize/uniform.ts";
import { seededRandom } from "../../src/random.ts";

const IMAGES = 5;

/** A small quantized network of random weights; ranges differ by tensor. */
function network(name: "resnet8" | "cnn", weightBits: 8 | 4): Graph {
  const random = seededRandom(7);
  const float = ARCHITECTURES[name](5, { height: 12, width: 12, channels: 3, widthParam: 4, random });
  const range = (id: number) => activationQuantization(-1 - (id % 3), 2 + (id % 5));
  return quantizeStatic(foldBatchNorm(float), range, { weightBits, granularity: "per-channel" });
}

const images = Int8Array.from({ length: IMAGES * 12 * 12 * 3 }, (_, i) => ((i * 89) % 256) - 128);

async function outputOf(graph: Graph, profileId: string, build: (typeof BUILDS)[number], options: object) {
  const profile = (await shippedProfiles()).get(profileId)!;
  const plan = compile(graph, profile, await bindKernels(await loadKernelModule(build)), options);
  return plan.run([images], IMAGES)[0];
}

const PROFILES = ["stm32l4r5-cmsis-nn", "ethos-u65", "android-litert-xnnpack"];

for (const name of ["resnet8", "cnn"] as const)
  for (const bits of [8, 4] as const)
    describe(`${name} with int${bits} weights`, () => {
      let graph: Graph;
      beforeAll(() => {
        graph = network(name, bits);
      });

      for (const profile of PROFILES) {
        it(`gives the same bytes in both builds, in any chunk and with every tensor kept, on ${profile}`, async () => {
          const expected = await outputOf(graph, profile, "simd", {});
          expect(new Set(expected).size).toBeGreaterThan(1);
          for (const build of BUILDS)
            for (const options of [{ chunk: 1 }, { chunk: 3 }, { keep: "all" }])
              expect(await outputOf(graph, profile, build, options)).toEqual(expected);
        });
      }

      it("gives equal bytes on two profiles of equal arithmetic", async () =>
        expect(await outputOf(graph, "stm32l4r5-cmsis-nn", "simd", {})).toEqual(
          await outputOf(graph, "ethos-u65", "simd", {}),
        ));
    });

describe("compile", () => {
  it("names every node that the profile cannot run, in one error", async () => {
    const graph = network("cnn", 8);
    const tensors = graph.tensors.map((tensor) => ({ ...tensor }));
    for (const { op, inputs } of graph.nodes)
      if (op === "CONV_2D")
        tensors[inputs[1]] = {
          ...tensors[inputs[1]],
          quantization: { scale: Float32Array.of(1), zeroPoint: Int32Array.of(3) },
        };
    const convolutions = graph.nodes.filter(({ op }) => op === "CONV_2D").length;
    const profile = (await shippedProfiles()).get("ethos-u65")!;
    const kernels = await bindKernels(await loadKernelModule());
    const attempt = () => compile({ ...graph, tensors }, profile, kernels);
    expect(attempt).toThrow(UnsupportedOpError);
    expect(attempt).toThrow(`cannot run ${convolutions} node`);
    expect(attempt).toThrow("filter: needs zero point 0");
  });

  it("refuses an input of the wrong length", async () => {
    const profile = (await shippedProfiles()).get("ethos-u65")!;
    const plan = compile(network("cnn", 8), profile, await bindKernels(await loadKernelModule()));
    expect(() => plan.run([images.subarray(1)], IMAGES)).toThrow(
      "expected 2160 values for 5 images, got 2159",
    );
  });
});

describe("planArena", () => {
  const lifetime = fc.record({
    bytes: fc.integer({ min: 1, max: 500 }),
    first: fc.integer({ min: 0, max: 9 }),
    span: fc.integer({ min: 0, max: 4 }),
  });
  it("never lets two tensors that live at one step overlap", () =>
    fc.assert(
      fc.property(fc.array(lifetime, { maxLength: 20 }), (items) => {
        const tensors = items.map(({ bytes, first, span }) => ({ bytes, first, last: first + span }));
        const { offsets, bytes } = planArena(tensors);
        tensors.forEach((a, i) => {
          expect(offsets[i] + a.bytes).toBeLessThanOrEqual(bytes);
          tensors.slice(0, i).forEach((b, j) => {
            const together = a.first <= b.last && b.first <= a.last;
            const apart = offsets[i] + a.bytes <= offsets[j] || offsets[j] + b.bytes <= offsets[i];
            expect(!together || apart).toBe(true);
          });
        });
      }),
    ));

  it("lets a tensor take the place of one that is dead", () =>
    expect(
      planArena([
        { bytes: 64, first: 0, last: 1 },
        { bytes: 64, first: 2, last: 3 },
      ]).bytes,
    ).toBe(64));
});
