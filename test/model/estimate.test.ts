import { beforeAll, describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { estimateLatency, macsOf } from "../../src/model/estimate.ts";
import type { Graph, Node, Tensor } from "../../src/model/graph.ts";
import { latencyTable } from "../../src/model/latencyTable.ts";
import { MLPERF_TINY } from "../../src/model/mlperfTiny.ts";
import type { Profile } from "../../src/profile/schema.ts";

describe("networks of MLPerf Tiny", () => {
  const counted = { IC: 12_501_632, VWW: 7_489_664, KWS: 2_656_768, AD: 264_192 };
  for (const [name, macs] of Object.entries(counted))
    it(`${name} has ${macs} multiply-accumulates`, () => {
      const graph = MLPERF_TINY[name as keyof typeof counted]();
      expect(graph.nodes.reduce((sum, node) => sum + macsOf(graph, node), 0)).toBe(macs);
    });
});

/** One TRANSPOSE_CONV of a 3x2 filter from 5x4x8 to 10x8x6. */
function transposed(): Graph {
  const quantization = { scale: Float32Array.of(1), zeroPoint: Int32Array.of(0) };
  const tensor = (shape: number[], data?: Int8Array): Tensor => ({
    name: "t",
    shape,
    dtype: "int8",
    quantization,
    ...(data && { data }),
  });
  const node: Node = {
    op: "TRANSPOSE_CONV",
    name: "n",
    inputs: [0, 1],
    outputs: [2],
    attributes: {
      strideHeight: 2,
      strideWidth: 2,
      padding: "SAME",
      activation: "NONE",
      outputShape: [1, 10, 8, 6],
    },
  };
  const tensors = [tensor([1, 5, 4, 8]), tensor([6, 3, 2, 8], new Int8Array(288)), tensor([1, 10, 8, 6])];
  return { name: "g", tensors, nodes: [node], inputs: [0], outputs: [2] };
}

it("a TRANSPOSE_CONV takes every input pixel times the whole filter", () => {
  const graph = transposed();
  expect(macsOf(graph, graph.nodes[0])).toBe(5 * 4 * 6 * 3 * 2 * 8);
});

it("a BATCH_MATMUL takes a row of x for every output", () => {
  const node: Node = {
    op: "BATCH_MATMUL",
    name: "m",
    inputs: [0, 1],
    outputs: [2],
    attributes: { adjX: true, adjY: false },
  };
  const tensors = [
    [1, 2, 7, 3],
    [1, 2, 7, 5],
    [1, 2, 3, 5],
  ].map((shape): Tensor => ({ name: "t", shape, dtype: "int8" }));
  expect(macsOf({ name: "g", tensors, nodes: [node], inputs: [0, 1], outputs: [2] }, node)).toBe(
    2 * 3 * 5 * 7,
  );
});

describe("latency estimates", () => {
  let profiles: Map<string, Profile>;
  beforeAll(async () => {
    profiles = await shippedProfiles();
  });

  it("are within a quarter of what CMSIS-NN took on a Cortex-M33, and within a third on a Cortex-M4", () => {
    const rows = latencyTable(profiles.values()).filter(({ engine }) => engine?.includes("microTVM"));
    expect(rows.map(({ device }) => device)).toEqual([
      ...new Array(4).fill("nrf5340-cmsis-nn"),
      ...new Array(4).fill("stm32l4r5-cmsis-nn"),
    ]);
    for (const { device, ratio } of rows) {
      const error = Math.abs(Math.log(ratio!));
      expect(error).toBeLessThan(Math.log(device.startsWith("nrf") ? 1.25 : 1.36));
    }
  });

  it.each(["stm32l4r5-cmsis-nn", "alif-e7-ethos-u55", "android-litert-xnnpack"])(
    "of a TRANSPOSE_CONV on %s grow with its products",
    (id) => {
      const graph = transposed();
      const larger = transposed();
      larger.tensors[1].shape = [6, 9, 6, 8];
      const of = (each: Graph) => estimateLatency(each, profiles.get(id)!)!.milliseconds;
      expect(of(larger)).toBeGreaterThan(of(graph));
    },
  );

  it("are absent for float32 products, which nobody counted", () => {
    const graph = transposed();
    const tensors = graph.tensors.map((tensor) => ({ ...tensor, dtype: "float32" as const }));
    expect(estimateLatency({ ...graph, tensors }, profiles.get("stm32l4r5-cmsis-nn")!)).toBeNull();
  });

  it("are absent where the profile has too few figures", () => {
    expect(estimateLatency(MLPERF_TINY.IC(), profiles.get("max78000")!)).toBeNull();
    expect(estimateLatency(MLPERF_TINY.IC(), profiles.get("onnxruntime-web")!)).toBeNull();
  });

  it("of an Ethos-U never pass its peak, and fall with more MACs a cycle", () => {
    const npu = profiles.get("alif-e7-ethos-u55")!;
    for (const network of Object.values(MLPERF_TINY)) {
      const graph = network();
      const macs = graph.nodes.reduce((sum, node) => sum + macsOf(graph, node), 0);
      const own = estimateLatency(graph, npu)!.milliseconds;
      expect(own).toBeGreaterThan((macs / 256 / 400e6) * 1e3);
    }
    const cycles = (id: string) =>
      estimateLatency(MLPERF_TINY.IC(), profiles.get(id)!)!.milliseconds *
      profiles.get(id)!.compute.clockHz!.value;
    expect(cycles("alif-e7-ethos-u55")).toBeLessThan(cycles("corstone-300-ethos-u55-128"));
  });

  it("of int4 weights are not below those of int8 on a Cortex-M4", () => {
    const graph = MLPERF_TINY.IC();
    const tensors = graph.tensors.map((tensor) =>
      tensor.shape.length === 4 && tensor.name !== "input" && tensor.shape[0] > 1
        ? { ...tensor, dtype: "int4" as const }
        : tensor,
    );
    const device = profiles.get("stm32l4r5-cmsis-nn")!;
    expect(estimateLatency({ ...graph, tensors }, device)!.milliseconds).toBeGreaterThan(
      estimateLatency(graph, device)!.milliseconds,
    );
  });
});
