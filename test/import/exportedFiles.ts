/** What our exporters write, as seeds of the fuzz runs: networks under every scheme of the quantizer, and single operators. */
import { exportOnnx } from "../../src/export/onnx.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import type { Graph } from "../../src/model/graph.ts";
import { quantizeStatic, type StaticScheme } from "../../src/quantize/ptq.ts";
import { POWER_OF_TWO_SCHEMES } from "../../src/quantize/schemes.ts";
import { activationQuantization } from "../../src/quantize/uniform.ts";
import { seededRandom } from "../../src/random.ts";
import { OP_CASES } from "../export/liteRtCases.ts";
import { windowNetwork } from "../export/windowNetwork.ts";

const SIZE = 12;
const SCHEMES: Record<string, StaticScheme> = {
  "int8 per channel": { weightBits: 8, granularity: "per-channel" },
  "int8 per tensor": { weightBits: 8, granularity: "per-tensor" },
  "int4 per channel": { weightBits: 4, granularity: "per-channel" },
  "int4 per tensor": { weightBits: 4, granularity: "per-tensor" },
  ...Object.fromEntries(Object.entries(POWER_OF_TWO_SCHEMES).map(([name, { scheme }]) => [name, scheme])),
};

function floats(): Record<string, Graph> {
  const random = seededRandom(7);
  const shape = { height: SIZE, width: SIZE, channels: 3, widthParam: 2, random };
  return {
    resnet8: ARCHITECTURES.resnet8(4, shape),
    cnn: ARCHITECTURES.cnn(4, shape),
    windows: windowNetwork(SIZE, random),
  };
}

/** Of powers of two where the scheme asks for them. */
const rangeOf = (scheme: StaticScheme) => (id: number) =>
  scheme.powerOfTwo
    ? { scale: Float32Array.of(2 ** -(4 + (id % 3))), zeroPoint: Int32Array.of(0) }
    : activationQuantization(-1 - (id % 3), 2 + (id % 5));

function networks(): Record<string, Graph> {
  const graphs: Record<string, Graph> = {};
  for (const [name, graph] of Object.entries(floats())) {
    graphs[`${name} float`] = graph;
    for (const [label, scheme] of Object.entries(SCHEMES))
      graphs[`${name} ${label}`] = quantizeStatic(foldBatchNorm(graph), rangeOf(scheme), scheme);
  }
  return graphs;
}

/** One case an operator and type. */
function operators(): Record<string, Graph> {
  const graphs: Record<string, Graph> = {};
  for (const { name, graph, missing } of OP_CASES) {
    const key = name.split(" ").slice(0, 2).join(" ");
    if (!missing && !(key in graphs)) graphs[key] = graph;
  }
  return graphs;
}

export const exportedTflite = (): Record<string, Uint8Array> =>
  Object.fromEntries(
    Object.entries({ ...networks(), ...operators() }).map(([name, graph]) => [name, exportTflite(graph)]),
  );

export const exportedOnnx = (): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(networks()).map(([name, graph]) => [name, exportOnnx(graph)]));
