/** ResNet-8 as a QDQ ONNX model beside ONNX Runtime Web. */
import { exportOnnx } from "../../export/onnx.ts";
import type { Graph } from "../../model/graph.ts";
import { compareWorks } from "./measure.ts";
import { inputOf, loadModel, ourWork } from "./models.ts";
import { startOnnxRuntime } from "./onnxRuntime.ts";
import { type BenchRow, timeRow } from "./row.ts";

/** uint8 activations are what ONNX Runtime has fast kernels for: the same values, codes 128 higher. */
const TARGETS = [
  { type: "uint8", keepInt8: false, batch: 1, target: 2.5 },
  { type: "uint8", keepInt8: false, batch: 32, target: 2 },
  { type: "int8", keepInt8: false, batch: 1, target: 2.5 },
  { type: "int8", keepInt8: true, batch: 1, target: 12 },
] as const;

function withUint8(graph: Graph): Graph {
  const tensors = graph.tensors.map((tensor) => {
    if (tensor.data || tensor.dtype !== "int8" || !tensor.quantization) return tensor;
    const { scale, zeroPoint } = tensor.quantization;
    const quantization = { scale, zeroPoint: zeroPoint.map((zero) => zero + 128) };
    return { ...tensor, dtype: "uint8" as const, quantization };
  });
  return { ...graph, tensors };
}

export async function benchOnnx(directory: string): Promise<BenchRow[]> {
  const peer = await startOnnxRuntime();
  const { name: model, graph } = loadModel(directory, { file: "mlperf_resnet8_int8", network: "resnet8" });
  const rows: BenchRow[] = [];
  for (const { type, keepInt8, batch, target } of TARGETS) {
    const ours = await ourWork(graph, "onnxruntime-web", batch);
    const codes = inputOf(graph, batch) as Int8Array;
    const { name, shape } = graph.tensors[graph.inputs[0]];
    const data = type === "int8" ? codes : Uint8Array.from(codes, (code) => code + 128);
    const input = { name, type, data, shape: [batch, ...shape.slice(1)] };
    const works =
      typeof peer === "string"
        ? [ours]
        : [ours, await peer.work(exportOnnx(type === "int8" ? graph : withUint8(graph)), input, keepInt8)];
    const [time, other] = await compareWorks(works);
    const kind = keepInt8 ? `${type} kept` : type;
    const row = { section: "onnx", work: `${model} as QDQ, ${kind}, batch ${batch}`, target };
    const version = typeof peer === "string" ? "" : ` ${peer.version}`;
    rows.push(timeRow(row, time, `ONNX Runtime Web${version}`, other ?? (peer as string), batch, batch));
  }
  return rows;
}
