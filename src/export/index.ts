import type { Graph } from "../model/graph.ts";
import { exportOnnx } from "./onnx.ts";
import { exportTflite } from "./tflite.ts";

/** A file format that a Graph is written in. */
export interface Exporter {
  name: string;
  /** With the dot, in lower case. */
  extension: string;
  /** @throws UnsupportedOpError. */
  write(graph: Graph): Uint8Array;
}

export const EXPORTERS: readonly Exporter[] = [
  { name: "TensorFlow Lite", extension: ".tflite", write: exportTflite },
  { name: "ONNX", extension: ".onnx", write: exportOnnx },
];
