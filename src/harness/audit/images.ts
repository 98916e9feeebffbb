import type { ImageSet } from "../../data/dataset.ts";
import { halves, type ImageList } from "../../data/labelled.ts";
import { seededRandom } from "../../random.ts";
import type { AuditImages } from "./inputs.ts";

/** A user's own images: one half is the defender's, the other measures, whatever the seed of the audit. */
export function ownImages(
  { path, classNames }: ImageList,
  set: ImageSet,
  training: ImageSet | null,
): AuditImages {
  const [clean, test] = halves(set, seededRandom(1));
  const caveat = `Of the images given, one half (${clean.count}) was the defender's, the other (${test.count}) measured.`;
  return { name: path, classNames, clean, test, training, caveat };
}
