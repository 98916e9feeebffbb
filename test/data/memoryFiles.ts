import type { Dataset, ImageSet } from "../../src/data/dataset.ts";
import { type Files, sha256 } from "../../src/data/files.ts";

/** A file system that holds `contents`: path to bytes. */
export function memoryFiles(contents: Record<string, Uint8Array | string>): Files {
  const encoder = new TextEncoder();
  const bytesOf = (path: string) => {
    const content = contents[path];
    return typeof content === "string" ? encoder.encode(content) : content;
  };
  const below = (path: string) => Object.keys(contents).filter((name) => name.startsWith(`${path}/`));
  return {
    async entry(path) {
      if (path in contents) return { kind: "file", bytes: bytesOf(path).length };
      return { kind: below(path).length > 0 ? "directory" : "missing", bytes: 0 };
    },
    list: async (path) => [...new Set(below(path).map((name) => name.slice(path.length + 1).split("/")[0]))],
    read: async (path) => bytesOf(path),
  };
}

/** One CIFAR-10 record: plane c holds c * 80 + (pixel + label) % 80. */
export function record(label: number): Uint8Array {
  const bytes = new Uint8Array(3073);
  bytes[0] = label;
  for (let c = 0; c < 3; c++) {
    for (let p = 0; p < 1024; p++) bytes[1 + c * 1024 + p] = c * 80 + ((p + label) % 80);
  }
  return bytes;
}

export function records(labels: number[]): Uint8Array {
  const bytes = new Uint8Array(labels.length * 3073);
  labels.forEach((label, i) => {
    bytes.set(record(label), i * 3073);
  });
  return bytes;
}

/** A binary PPM of one colour. */
export function ppm(width: number, height: number, colour: [number, number, number]): Uint8Array {
  const header = new TextEncoder().encode(`P6\n# drawn for a test\n${width} ${height}\n255\n`);
  const bytes = new Uint8Array(header.length + width * height * 3);
  bytes.set(header);
  for (let p = 0; p < width * height; p++) bytes.set(colour, header.length + 3 * p);
  return bytes;
}

/** A data set with a digest of pixels, labels and tracks for each split: comparing megabytes element by element is slow. */
export async function digests(dataset: Dataset) {
  const digest = async ({ pixels, labels, tracks }: ImageSet) => {
    const parts = [pixels, labels, new Uint8Array(tracks.buffer, tracks.byteOffset, tracks.byteLength)];
    return (await Promise.all(parts.map(sha256))).join(" ");
  };
  const [train, held, test] = await Promise.all([dataset.train, dataset.held, dataset.test].map(digest));
  return { ...dataset, train, held, test };
}
