import { beforeAll, describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { estimateLatency, macsOf } from "../../src/model/estimate.ts";
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
