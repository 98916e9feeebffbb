import { ModelFormatError } from "../errors.ts";
import { isBlindspot, readModel } from "../model/file.ts";
import type { Graph } from "../model/graph.ts";
import { type ExternalData, importOnnx } from "./onnx/index.ts";
import { importTflite, isTflite } from "./tflite/importTflite.ts";

/** A file format that becomes a Graph. */
export interface Importer {
  name: string;
  /** With the dot, in lower case. */
  extension: string;
  /** Whether the bytes say by themselves that they are one; where formats have no magic, always false. */
  matches(bytes: Uint8Array): boolean;
  /** where: the file's name, for messages and the Graph's name. externalData: the bytes of files beside the model.
   * @throws ModelFormatError, UnsupportedOpError. */
  read(bytes: Uint8Array, where: string, externalData?: ExternalData): Graph;
}

export const IMPORTERS: readonly Importer[] = [
  {
    name: "Blindspot",
    extension: ".blindspot",
    matches: isBlindspot,
    read: (bytes, where) => readModel(bytes, where).graph,
  },
  { name: "TensorFlow Lite", extension: ".tflite", matches: isTflite, read: importTflite },
  { name: "ONNX", extension: ".onnx", matches: () => false, read: importOnnx },
];

/** Reads a model of any format: by what the bytes say, else by the extension of `where`. */
export function importModel(bytes: Uint8Array, where: string, externalData?: ExternalData): Graph {
  const importer =
    IMPORTERS.find(({ matches }) => matches(bytes)) ??
    IMPORTERS.find(({ extension }) => where.toLowerCase().endsWith(extension));
  if (!importer) {
    const known = IMPORTERS.map(({ name, extension }) => `${name} (${extension})`).join(", ");
    throw new ModelFormatError(where, `a model: ${known}`, "neither");
  }
  return importer.read(bytes, where, externalData);
}
