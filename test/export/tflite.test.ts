import { beforeAll, describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { UnsupportedOpError } from "../../src/errors.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { FlatBuffer } from "../../src/import/tflite/flatbuffer.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { BUFFER, BUILTIN_OPERATORS, MODEL, OPERATOR_CODE } from "../../src/import/tflite/schema.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import type { Graph, Node, Padding, Quantization } from "../../src/model/graph.ts";
import { quantizeStatic } from "../../src/quantize/ptq.ts";
import { activationQuantization } from "../../src/quantize/uniform.ts";
import { seededRandom } from "../../src/random.ts";
import { exampleTflite } from "../import/exampleTflite.ts";
import { outputsOf } from "../import/onnxEvaluate.ts";
import { type LiteRt, runLiteRt, startLiteRt } from "./liteRt.ts";
import { windowNetwork } from "./windowNetwork.ts";

const IMAGES = 3;
const SIZE = 12;
const VALUES = SIZE * SIZE * 3;
const PROFILES = ["stm32l4r5-cmsis-nn", "android-litert-xnnpack"];
const NETWORKS = ["resnet8", "cnn", "windows"] as const;
type Network = (typeof NETWORKS)[number];

function floatNetwork(name: Network): Graph {
  const random = seededRandom(7);
  if (name === "windows") return windowNetwork(SIZE, random);
  return ARCHITECTURES[name](5, { height: SIZE, width: SIZE, channels: 3, widthParam: 4, random });
}

function network(name: Network, weightBits: 8 | 4): Graph {
  const range = (id: number) => activationQuantization(-1 - (id % 3), 2 + (id % 5));
  return quantizeStatic(foldBatchNorm(floatNetwork(name)), range, { weightBits, granularity: "per-channel" });
}

const images = Int8Array.from({ length: IMAGES * VALUES }, (_, i) => ((i * 89 + (i >> 5)) % 256) - 128);

async function outputOf(graph: Graph, profileId: string, x = images, count = IMAGES): Promise<Int8Array> {
  const profile = (await shippedProfiles()).get(profileId)!;
  const plan = compile(graph, profile, await bindKernels(await loadKernelModule()));
  return plan.run([x], count)[0] as Int8Array;
}

/** Tensors that nodes make, in order. */
const madeIn = (graph: Graph) => graph.nodes.map(({ outputs }) => outputs[0]);

/** The graph with a float32 input and every node's output as a float32 output, which is what LiteRT.js takes. */
function withFloatEnds(graph: Graph): Graph {
  const tensors = [...graph.tensors];
  const real = (id: number) =>
    tensors.push({ name: `real${id}`, shape: tensors[id].shape, dtype: "float32" }) - 1;
  const [x] = graph.inputs;
  const realX = real(x);
  const quantize: Node = { op: "QUANTIZE", name: "quantize", inputs: [realX], outputs: [x], attributes: {} };
  const ends = madeIn(graph).map((id): Node => {
    const outputs = [real(id)];
    return { op: "DEQUANTIZE", name: `dequantize${id}`, inputs: [id], outputs, attributes: {} };
  });
  const outputs = ends.flatMap((node) => node.outputs);
  return { ...graph, tensors, nodes: [quantize, ...graph.nodes, ...ends], inputs: [realX], outputs };
}

const realOf = (codes: Int8Array, { scale, zeroPoint }: Quantization) =>
  Float32Array.from(codes, (code) => scale[0] * (code - zeroPoint[0]));

/** Names, versions and deprecated bytes of the operator codes. */
function operatorCodes(bytes: Uint8Array) {
  const codes = new FlatBuffer(bytes, "file").root("model").tables(MODEL.operatorCodes, "codes", 100, "code");
  return codes.map((code) => {
    const value = code.int32(OPERATOR_CODE.builtinCode, "builtin_code");
    expect(code.int8(OPERATOR_CODE.deprecatedBuiltinCode, "deprecated")).toBe(Math.min(value, 127));
    return `${BUILTIN_OPERATORS[value]} ${code.int32(OPERATOR_CODE.version, "version", 1)}`;
  });
}

for (const name of NETWORKS)
  for (const bits of [8, 4] as const)
    describe(`${name} of int${bits} weights, written as .tflite`, () => {
      const graph = network(name, bits);
      const again = importTflite(exportTflite(graph), graph.name);

      it("comes back with the same tensors, and the same nodes but for pads that TFLite has no name for", () => {
        const named = ({ attributes }: Node) =>
          !("padding" in attributes && typeof attributes.padding === "object");
        const said = ({ op, outputs, attributes }: Node) => ({ op, outputs, attributes });
        const kept = (of: Graph) => of.nodes.filter((_, i) => named(graph.nodes[i])).map(said);
        const known = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
        const found = again.nodes.filter(({ outputs }) => known.has(outputs[0]));
        expect(kept({ ...again, nodes: found })).toEqual(kept(graph));
        expect(again.tensors.slice(0, graph.tensors.length)).toEqual(graph.tensors);
        expect([again.inputs, again.outputs]).toEqual([graph.inputs, graph.outputs]);
      });

      for (const profile of PROFILES)
        it(`gives the same bytes on ${profile}`, async () =>
          expect(await outputOf(again, profile)).toEqual(await outputOf(graph, profile)));
    });

describe("operator codes", () => {
  it("have the versions that TFLite's converter gives them, and for int4 those that came with int4", () => {
    const versions = (name: Network, bits: 8 | 4) => operatorCodes(exportTflite(network(name, bits))).sort();
    expect(versions("resnet8", 8)).toEqual([
      "ADD 2",
      "CONV_2D 3",
      "FULLY_CONNECTED 4",
      "MEAN 2",
      "SOFTMAX 2",
    ]);
    expect(versions("windows", 4)).toEqual([
      "AVERAGE_POOL_2D 2",
      "CONV_2D 7",
      "DEPTHWISE_CONV_2D 7",
      "FULLY_CONNECTED 10",
      "MAX_POOL_2D 2",
      "MUL 2",
      "PAD 2",
      "RESHAPE 1",
      "SOFTMAX 2",
    ]);
  });
});

describe("a file", () => {
  it("that has layout operators and indices in constants is written as it was read", () => {
    const graph = importTflite(exampleTflite(), "example");
    const again = importTflite(exportTflite(graph), "example");
    expect(again.nodes).toEqual(graph.nodes);
    expect(again.tensors.slice(0, graph.tensors.length)).toEqual(graph.tensors);
  });

  it("holds the data of constants at multiples of 16", () => {
    const bytes = exportTflite(network("cnn", 8));
    const buffers = new FlatBuffer(bytes, "file")
      .root("model")
      .tables(MODEL.buffers, "buffers", 99, "buffer");
    const starts = buffers.slice(1).map((buffer) => buffer.uint8s(BUFFER.data, "data").byteOffset % 16);
    expect(new Set(starts)).toEqual(new Set([0]));
  });

  it("is not written of pools whose pads TFLite has no name for, all named in one error", () => {
    const graph = network("windows", 8);
    const padding: Padding = [1, 0, 1, 0];
    const nodes = graph.nodes.map((node) =>
      node.op.endsWith("POOL_2D") ? ({ ...node, attributes: { ...node.attributes, padding } } as Node) : node,
    );
    const attempt = () => exportTflite({ ...graph, nodes });
    expect(attempt).toThrow(UnsupportedOpError);
    expect(attempt).toThrow(/MAX_POOL_2D.*\[1,0,1,0\](.|\n)*AVERAGE_POOL_2D/);
  });
});

describe("LiteRT.js", () => {
  let liteRt: LiteRt;
  beforeAll(async () => {
    liteRt = await startLiteRt();
  });

  /** LiteRT.js's outputs of the graph for one image of codes, by node. */
  function liteRtOutputs(graph: Graph, image: Int8Array): Promise<Float32Array[]> {
    const { quantization, shape } = graph.tensors[graph.inputs[0]];
    const x = realOf(image, quantization!);
    return runLiteRt(liteRt, exportTflite(withFloatEnds(graph)), [x], [[1, ...shape.slice(1)]]);
  }

  for (const [name, bits] of [
    ["resnet8", 8],
    ["resnet8", 4],
    ["cnn", 8],
    ["cnn", 4],
    ["windows", 8],
    ["windows", 4],
  ] as const)
    it(`gives every tensor of ${name} with int${bits} weights the profile's bytes`, async () => {
      const graph = network(name, bits);
      const profile = (await shippedProfiles()).get("litert-js")!;
      const kernels = await bindKernels(await loadKernelModule());
      const plan = compile(graph, profile, kernels, { keep: "all" });
      for (let i = 0; i < IMAGES; i++) {
        const image = images.subarray(i * VALUES, (i + 1) * VALUES);
        const found = await liteRtOutputs(graph, image);
        plan.run([image], 1);
        madeIn(graph).forEach((id, n) => {
          const codes = Int8Array.from(plan.view(id, 1));
          expect(new Set(codes).size, graph.nodes[n].name).toBeGreaterThan(1);
          expect(found[n], graph.nodes[n].name).toEqual(realOf(codes, graph.tensors[id].quantization!));
        });
      }
    });

  for (const name of NETWORKS)
    it(`runs ${name} in floats, batch normalization included`, async () => {
      const graph = floatNetwork(name);
      const x = Float32Array.from({ length: VALUES }, (_, i) => ((i * 89) % 256) / 255);
      const [found] = await runLiteRt(liteRt, exportTflite(graph), [x], [[1, SIZE, SIZE, 3]]);
      const single = {
        ...graph,
        tensors: graph.tensors.map((t) => (t.data ? t : { ...t, shape: [1, ...t.shape.slice(1)] })),
      };
      outputsOf(single, [x])[0].forEach((value, i) => expect(found[i]).toBeCloseTo(value, 3));
    });
});
