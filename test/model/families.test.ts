import { beforeAll, describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { type BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { UnsupportedOpError } from "../../src/errors.ts";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { ARITHMETICS, isPowerOfTwo } from "../../src/kernels/arithmetics.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import type { Graph, Tensor } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { activationsFor, quantizeStatic, type StaticScheme } from "../../src/quantize/ptq.ts";
import { POWER_OF_TWO_SCHEMES } from "../../src/quantize/schemes.ts";
import { seededRandom } from "../../src/random.ts";

const IMAGES = 3;
const images = Int8Array.from({ length: IMAGES * 12 * 12 * 3 }, (_, i) => ((i * 89) % 256) - 128);
const PLAIN: StaticScheme = { weightBits: 8, granularity: "per-channel" };
/** Which scheme makes models for which device. */
const SCHEMES = {
  "esp32-s3-esp-dl": POWER_OF_TWO_SCHEMES["esp32-s3"].scheme,
  "esp32-p4-esp-dl": POWER_OF_TWO_SCHEMES["esp32-p4"].scheme,
  max78000: POWER_OF_TWO_SCHEMES.max78000.scheme,
} as Record<string, StaticScheme>;

function network(name: "resnet8" | "cnn", scheme: StaticScheme): Graph {
  const random = seededRandom(7);
  const float = foldBatchNorm(
    ARCHITECTURES[name](5, { height: 12, width: 12, channels: 3, widthParam: 4, random }),
  );
  const ranges = new Map(
    float.tensors.map((_, id) => [id, { minimum: -1 - (id % 3), maximum: 2 + (id % 5) }] as const),
  );
  return quantizeStatic(float, activationsFor(float, ranges, scheme), scheme);
}

async function outputOf(graph: Graph, profile: Profile, build: (typeof BUILDS)[number], chunk: number) {
  const kernels = await bindKernels(await loadKernelModule(build));
  return compile(graph, profile, kernels, { chunk, keep: "all" }).run([images], IMAGES)[0];
}

/** The ops that a profile says nothing of, and a network would need. */
const missing = ({ arithmetic: { ops } }: Profile, graph: Graph) =>
  graph.nodes.filter(({ op }) => ["ADD", "AVERAGE_POOL_2D", "MEAN"].includes(op) && !(op in ops));

describe("every shipped profile", async () => {
  const profiles = await shippedProfiles();

  it("is one of at least 24, of at least 12 arithmetics", () => {
    expect(profiles.size).toBeGreaterThanOrEqual(24);
    const kinds = [...profiles.values()].map(({ arithmetic: { ops, accumulator } }) =>
      [ops.default.requantizer, ops.ADD?.form, ops.AVERAGE_POOL_2D?.form, accumulator.overflow].join(),
    );
    expect(new Set(kinds).size).toBeGreaterThanOrEqual(12);
  });

  for (const [id, profile] of profiles)
    for (const name of ["cnn", "resnet8"] as const) {
      const graph = network(name, SCHEMES[id] ?? PLAIN);
      const lacking = missing(profile, graph);
      if (lacking.length > 0)
        it(`${id} refuses ${name} for the ops that it lacks`, async () => {
          await expect(outputOf(graph, profile, "simd", 1)).rejects.toThrow(
            `the profile has no ${lacking[0].op}`,
          );
        });
      else
        it(`${id} runs ${name} to the same bytes in both builds and any chunk`, async () => {
          const expected = await outputOf(graph, profile, "simd", 3);
          expect(new Set(expected).size).toBeGreaterThan(1);
          expect(await outputOf(graph, profile, "scalar", 1)).toEqual(expected);
        });
    }
});

describe("families with forms of their own", async () => {
  const profiles = await shippedProfiles();
  const quantization = { scale: Float32Array.of(0.05), zeroPoint: Int32Array.of(0) };
  const graph: Graph = {
    name: "swish",
    tensors: ["x", "y"].map((name) => ({ name, shape: [1, 4], dtype: "int8", quantization })),
    nodes: [{ op: "HARD_SWISH", name: "swish", inputs: [0], outputs: [1], attributes: {} }],
    inputs: [0],
    outputs: [1],
  };

  for (const id of ["esp32-s3-esp-dl", "hexagon-nn-v66", "pytorch-mobile-qnnpack"])
    it(`${id} refuses what only TFLite's form is known of`, async () => {
      const kernels = await bindKernels(await loadKernelModule());
      expect(() => compile(graph, profiles.get(id)!, kernels)).toThrow("the profile has no HARD_SWISH");
    });
});

describe("families with short mantissas", async () => {
  const profiles = await shippedProfiles();
  const tensor = (scale: number, rest: Partial<Tensor>): Tensor => ({
    name: "t",
    shape: [1, 1],
    dtype: "int8",
    quantization: { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(0) },
    ...rest,
  });
  /** One sum, which is the bias, by one scale. */
  const sumOf = (acc: number, scale: number): Graph => ({
    name: "sum",
    tensors: [
      tensor(scale, {}),
      tensor(1, { data: Int8Array.of(1) }),
      tensor(scale, { shape: [1], dtype: "int32", data: Int32Array.of(acc) }),
      tensor(1, {}),
    ],
    nodes: [
      {
        op: "FULLY_CONNECTED",
        name: "sum",
        inputs: [0, 1, 2],
        outputs: [3],
        attributes: { activation: "NONE" },
      },
    ],
    inputs: [0],
    outputs: [3],
  });

  // Values of nntool's own scale code and of a port of NVDLA's converter.
  for (const [acc, scale, gap, nvdla] of [
    [-3918, 0.021821867674589157, -86, -85],
    [-11118, 0.010298547334969044, -115, -115],
    [-12288, 2 ** -13, -1, -2],
  ])
    it(`${acc} * ${scale} is ${gap} on GAP8 and ${nvdla} on NVDLA`, async () => {
      const kernels = await bindKernels(await loadKernelModule());
      const run = (id: string) =>
        compile(sumOf(acc, scale), profiles.get(id)!, kernels).run([new Int8Array(1)], 1)[0];
      expect([...(run("gap8-nntool-sq8") as Int8Array)]).toEqual([gap]);
      expect([...(run("nvdla") as Int8Array)]).toEqual([nvdla]);
    });
});

describe("families of powers of two", () => {
  let profiles: Map<string, Profile>;
  beforeAll(async () => {
    profiles = await shippedProfiles();
  });
  const attempt = async (graph: Graph, id: string) => outputOf(graph, profiles.get(id)!, "simd", 1);

  for (const id of Object.keys(SCHEMES))
    it(`${id} refuses a model of other scales, naming the node and the scale`, async () => {
      const error = await attempt(network("cnn", PLAIN), id).catch((caught) => caught);
      expect(error).toBeInstanceOf(UnsupportedOpError);
      expect(error.message).toContain("input 0: the family needs zero point 0, is -128");
    });

  it("ESP32-S3 refuses one scale a channel, MAX78000 a bias of other units", async () => {
    const perChannel = network("cnn", SCHEMES["esp32-p4-esp-dl"]);
    await expect(attempt(perChannel, "esp32-s3-esp-dl")).rejects.toThrow(
      "the profile has one scale a tensor",
    );
    const wideBias = network("cnn", SCHEMES["esp32-s3-esp-dl"]);
    const conv = wideBias.nodes.find(({ op }) => op === "CONV_2D")!;
    (wideBias.tensors[conv.inputs[2]].data as Int32Array)[0] = 77;
    await expect(attempt(wideBias, "max78000")).rejects.toThrow("bias: needs 8 bits in units of 128, is 77");
  });

  it("the schemes give powers of two, zero points 0, and biases within their bits", () => {
    for (const { scheme } of Object.values(POWER_OF_TWO_SCHEMES))
      for (const name of ["cnn", "resnet8"] as const) {
        const graph = network(name, scheme);
        const output = graph.outputs[0];
        for (const [id, { quantization, data }] of graph.tensors.entries()) {
          if (!quantization || id === output) continue;
          expect([...quantization.scale].every(isPowerOfTwo)).toBe(true);
          expect(quantization.zeroPoint.every((zero) => zero === 0)).toBe(true);
          const held = (scheme as StaticScheme).bias;
          if (!(data instanceof Int32Array) || !held) continue;
          const top = 2 ** (held.bits - 1) * held.unit;
          expect(data.every((value) => value % held.unit === 0 && value >= -top && value < top)).toBe(true);
        }
      }
  });

  it("MAX78000 runs 4-bit weights to the same bytes in both builds", async () => {
    const graph = network("cnn", POWER_OF_TWO_SCHEMES["max78000-int4"].scheme);
    const profile = profiles.get("max78000")!;
    expect(await outputOf(graph, profile, "scalar", 2)).toEqual(await outputOf(graph, profile, "simd", 3));
  });

  it("operands and output of ADD share one scale", () => {
    const graph = network("resnet8", SCHEMES.max78000);
    for (const { op, inputs, outputs } of graph.nodes)
      if (op === "ADD")
        expect(
          new Set([...inputs, ...outputs].map((id) => graph.tensors[id].quantization!.scale[0])).size,
        ).toBe(1);
  });

  it("and no other family asks for them", () => {
    const families = Object.entries(ARITHMETICS).filter(([, { powerOfTwo }]) => powerOfTwo);
    expect(families.map(([name]) => name)).toEqual([
      "power-of-two-half-up",
      "power-of-two-half-even",
      "max78000",
      "k210-simulator",
    ]);
  });
});
