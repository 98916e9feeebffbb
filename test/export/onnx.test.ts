import { beforeAll, describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { exportOnnx } from "../../src/export/onnx.ts";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile, type Plan } from "../../src/model/compile.ts";
import { elements, type Graph, type Node, type OpName } from "../../src/model/graph.ts";
import { quantizeStatic } from "../../src/quantize/ptq.ts";
import { activationQuantization } from "../../src/quantize/uniform.ts";
import { seededRandom } from "../../src/random.ts";
import { outputsOf } from "../import/onnxEvaluate.ts";
import { describeBesideOrt, expectEqual, runOrt } from "../import/onnxRuntime.ts";

const IMAGES = 4;
const SIZE = 12;

function floatNetwork(name: keyof typeof ARCHITECTURES): Graph {
  const random = seededRandom(7);
  return ARCHITECTURES[name](5, { height: SIZE, width: SIZE, channels: 3, widthParam: 4, random });
}

function network(name: keyof typeof ARCHITECTURES, weightBits: 8 | 4): Graph {
  const range = (id: number) => activationQuantization(-1 - (id % 3), 2 + (id % 5));
  return quantizeStatic(foldBatchNorm(floatNetwork(name)), range, { weightBits, granularity: "per-channel" });
}

const images = Int8Array.from({ length: IMAGES * SIZE * SIZE * 3 }, (_, i) => ((i * 89) % 256) - 128);

/** The graph of one node, with constants, its activations as inputs. */
function alone(graph: Graph, node: Node): Graph {
  return {
    ...graph,
    nodes: [node],
    inputs: [...new Set(node.inputs.filter((id) => id >= 0 && !graph.tensors[id].data))],
    outputs: node.outputs,
  };
}

const batched = (graph: Graph, id: number) => [IMAGES, ...graph.tensors[id].shape.slice(1)];

/** ONNX Runtime's output of an exported graph of int8 activations. */
async function ortCodes(graph: Graph, inputs: Int8Array[]): Promise<number[]> {
  const feeds = graph.inputs.map(
    (id, i) => [graph.tensors[id].name, ["int8", batched(graph, id), inputs[i]]] as const,
  );
  const outputs = await runOrt(exportOnnx(graph), Object.fromEntries(feeds));
  return Array.from(outputs[graph.tensors[graph.outputs[0]].name].data, Number);
}

/** Where ONNX Runtime computes an op in another way, so that a code may be one step away. Source: ARITHMETIC.md E. */
const DIFFERS: Partial<Record<OpName, string>> = {
  ADD: "QLinearAdd sums floats and rounds with the zero point inside; XNNPACK has 21-bit multipliers, half up",
  AVERAGE_POOL_2D: "a float mean, half to even, zero point inside; TFLite's integer mean rounds ties away",
  MEAN: "one float32 scale f32(sx / f32(sy * n)); XNNPACK multiplies f32(sx / sy) by f32(1 / n)",
  SOFTMAX: "a float32 exp table and floor(1 / scale); TFLite's table rounds half away",
};

for (const name of ["resnet8", "cnn"] as const)
  describe(`${name} exported as QDQ`, () => {
    let graph: Graph;
    let plan: Plan;
    const tensors = new Map<number, Int8Array>();
    beforeAll(async () => {
      graph = network(name, 8);
      const profile = (await shippedProfiles()).get("android-litert-xnnpack")!;
      plan = compile(graph, profile, await bindKernels(await loadKernelModule()), {
        keep: "all",
        chunk: IMAGES,
      });
      const ids = [...graph.inputs, ...graph.nodes.map(({ outputs }) => outputs[0])];
      plan.run([images], IMAGES, () => {
        for (const id of ids) tensors.set(id, Int8Array.from(plan.view(id, IMAGES)));
      });
    });

    it("gives the float-even profile's integers in ONNX Runtime, node by node, one step apart where they differ", async () => {
      const found = new Set<string>();
      for (const node of graph.nodes) {
        const one = alone(graph, node);
        const codes = await ortCodes(
          one,
          one.inputs.map((id) => tensors.get(id)!),
        );
        const expected = Array.from(tensors.get(node.outputs[0])!);
        found.add(node.op);
        if (!(node.op in DIFFERS)) expect(codes, node.name).toEqual(expected);
        else
          codes.forEach((code, i) =>
            expect(Math.abs(code - expected[i]), `${node.name}[${i}]`).toBeLessThanOrEqual(1),
          );
      }
      expect(found.has("CONV_2D")).toBe(true);
    });

    it("runs as a whole in ONNX Runtime", async () => {
      const codes = await ortCodes(graph, [images]);
      const expected = Array.from(tensors.get(graph.outputs[0])!);
      expect(codes.length).toBe(expected.length);
      const far = codes.filter((code, i) => Math.abs(code - expected[i]) > 3);
      expect(far).toEqual([]);
    });

    it("comes back from the importer as the same nodes, scales and integers", async () => {
      const again = importOnnx(exportOnnx(graph), graph.name);
      // SAME that pads nothing comes back as VALID, and with what ONNX Runtime computes each node of the file on.
      const said = ({ op, attributes }: Node) => ({
        op,
        attributes: { ...attributes, padding: undefined, computedOn: undefined },
      });
      expect(again.nodes.map(said)).toEqual(graph.nodes.map(said));
      const constants = (of: Graph) =>
        of.nodes.flatMap(({ inputs }) =>
          inputs
            .map((id) => of.tensors[id])
            .flatMap(({ dtype, shape, data, quantization }) =>
              data ? [{ dtype, shape, data, quantization }] : [],
            ),
        );
      expect(constants(again)).toEqual(constants(graph));
      const profile = (await shippedProfiles()).get("ethos-u65")!;
      const kernels = await bindKernels(await loadKernelModule());
      const [before, after] = [graph, again].map(
        (one) => compile(one, profile, kernels).run([images], IMAGES)[0],
      );
      expect(after).toEqual(before);
    });
  });

describe("int4 weights", () => {
  it("are written as INT4 of operator set 21 and come back as they were", () => {
    const graph = network("cnn", 4);
    const again = importOnnx(exportOnnx(graph), graph.name);
    const weights = (of: Graph) =>
      of.tensors.filter(({ dtype }) => dtype === "int4").map(({ shape, data }) => ({ shape, data }));
    expect(weights(graph).length).toBeGreaterThan(2);
    expect(weights(again)).toEqual(weights(graph));
  });

  it("run in ONNX Runtime, which multiplies them as floats, to within one step a node", async () => {
    const graph = network("cnn", 4);
    const node = graph.nodes.find(({ op }) => op === "CONV_2D")!;
    const one = alone(graph, node);
    const profile = (await shippedProfiles()).get("android-litert-xnnpack")!;
    const plan = compile(one, profile, await bindKernels(await loadKernelModule()));
    const expected = plan.run([images], IMAGES)[0];
    const codes = await ortCodes(one, [images]);
    codes.forEach((code, i) => expect(Math.abs(code - expected[i])).toBeLessThanOrEqual(1));
  });
});

describeBesideOrt("an exported network", (beside) => {
  it.each([
    ["resnet8", 8],
    ["cnn", 8],
    ["cnn", 4],
  ] as const)("%s with weights of %i bits, read back, gives the same integers", async (name, weightBits) => {
    const graph = network(name, weightBits);
    const input = graph.inputs[0];
    const feeds = { [graph.tensors[input].name]: ["int8", batched(graph, input), images] as const };
    await expectEqual(beside, exportOnnx(graph), feeds);
  });
});

describe("a float Graph", () => {
  for (const name of ["resnet8", "cnn"] as const)
    it(`of ${name}, batch normalization included, gives the same values in ONNX Runtime`, async () => {
      const graph = floatNetwork(name);
      const [input] = graph.inputs;
      const x = Float32Array.from(
        { length: elements(graph.tensors[input].shape.slice(1)) },
        (_, i) => ((i * 89) % 256) / 255,
      );
      const shape = [1, ...graph.tensors[input].shape.slice(1)];
      const outputs = await runOrt(exportOnnx(graph), { [graph.tensors[input].name]: ["float32", shape, x] });
      const { data } = outputs[graph.tensors[graph.outputs[0]].name];
      const single = {
        ...graph,
        tensors: graph.tensors.map((t) => (t.data ? t : { ...t, shape: [1, ...t.shape.slice(1)] })),
      };
      outputsOf(single, [x])[0].forEach((value, i) => expect(value).toBeCloseTo(Number(data[i]), 3));
    });
});
