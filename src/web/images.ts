/** The images of an audit: drawn signs, or what was dropped. */
import type { ImageShape } from "../data/fit.ts";
import { listImages, readImages } from "../data/labelled.ts";
import { signs } from "../data/signs.ts";
import { ownImages } from "../harness/audit/images.ts";
import type { AuditImages } from "../harness/audit/inputs.ts";
import { droppedFiles } from "./files.ts";
import type { ImageSource } from "./protocol.ts";

/** Images of another size are cut to the largest part in the middle of the right shape. */
const RESIZE = "crop";

export interface PageImages {
  /** As --data names them. */
  path: string;
  images: AuditImages;
  resize: typeof RESIZE | null;
  /** Decides every image; and the same as a Result names it. */
  cheap: Record<string, string>;
  sha256: Record<string, string>;
}

/** @throws DataError. */
export async function auditImages(
  source: ImageSource,
  shape: ImageShape,
  classes: number,
): Promise<PageImages> {
  if (source.kind === "signs") return drawnSigns(droppedFiles({ kind: "files", root: "", files: [] }));
  const files = droppedFiles(source);
  const list = await listImages(source.root, classes, files);
  const set = await readImages(list, shape, RESIZE, files);
  return {
    ...{ path: list.path, resize: RESIZE, sha256: list.sha256, cheap: { ...list.sha256, resize: RESIZE } },
    images: ownImages(list, set, null),
  };
}

async function drawnSigns(files: ReturnType<typeof droppedFiles>): Promise<PageImages> {
  const { name, classNames, held: clean, test, caveat, sha256 } = await signs.load({}, files);
  return {
    ...{ path: name, resize: null, sha256, cheap: { drawn: "signs" } },
    images: { name, classNames, clean, test, training: null, caveat },
  };
}
