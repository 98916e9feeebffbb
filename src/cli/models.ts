import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { importTflite, isTflite } from "../import/tflite/importTflite.ts";
import type { Graph } from "../model/graph.ts";
import { readInput } from "./io.ts";

/** A model of any format that Blindspot reads: its own, TensorFlow Lite, ONNX (with data files beside it). */
export async function readAnyModel(path: string): Promise<Graph> {
  return parseAnyModel(await readInput(path, "a model"), path);
}

/** The same of bytes that were read. */
export async function parseAnyModel(bytes: Uint8Array, path: string): Promise<Graph> {
  if (isTflite(bytes)) return importTflite(bytes, path);
  const { isBlindspot, readModel } = await import("../model/file.ts");
  if (isBlindspot(bytes)) return readModel(bytes, path).graph;
  // What reads ONNX takes longer to load than most models to run.
  const { importModel } = await import("../import/index.ts");
  return importModel(bytes, path, (name) => readBeside(path, name));
}

function readBeside(path: string, name: string): Uint8Array | undefined {
  try {
    return readFileSync(join(dirname(path), name));
  } catch {
    return undefined;
  }
}
