/** What a model and images are, before anything is run. */
import { listImages } from "../data/labelled.ts";
import { SIGN_IMAGES, signs } from "../data/signs.ts";
import { isFloat } from "../harness/audit/models.ts";
import { importModel } from "../import/index.ts";
import { classifierOf } from "../model/classifier.ts";
import { droppedFiles } from "./files.ts";
import type { ImageSource, ImageSummary, ModelFile, ModelSummary } from "./protocol.ts";

/** @throws ModelFormatError, UnsupportedOpError for what is no image classifier. */
export function inspectModelFile({ name, bytes }: ModelFile): ModelSummary {
  const graph = importModel(bytes, name);
  const { classes, height, width, channels } = classifierOf(graph, name);
  const kind = isFloat(graph) ? "float" : "integer";
  return { name, kind, classes, height, width, channels, layers: graph.nodes.length };
}

/** @throws DataError. */
export async function inspectImages(source: ImageSource, classes: number): Promise<ImageSummary> {
  if (source.kind === "signs")
    return {
      name: "signs",
      images: SIGN_IMAGES.held + SIGN_IMAGES.test,
      classes: signs.classNames.length,
    };
  const list = await listImages(source.root, classes, droppedFiles(source));
  return { name: source.root, images: list.entries.length, classes: list.classNames.length };
}
