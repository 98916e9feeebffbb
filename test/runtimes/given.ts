/** What the runtimes are given, and what this one makes of it. */
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import type { ImageSet } from "../../src/data/dataset.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { allDigests, type Digests, type Packed, unpack } from "./cases.ts";
import { quantizedSigns } from "./signs.ts";

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

const packedImages = ({ count, height, width, channels, pixels, labels }: ImageSet) => ({
  ...{ count, height, width, channels },
  pixels: base64(pixels),
  labels: [...labels],
});

export async function packedCases(): Promise<Packed> {
  const { graph, clean, triggered } = await quantizedSigns();
  return {
    profiles: [...(await shippedProfiles()).values()],
    model: base64(exportTflite(graph)),
    clean: packedImages(clean),
    triggered: packedImages(triggered),
  };
}

export async function digestsHere(packed: Packed): Promise<Digests> {
  return allDigests(unpack(packed, await loadKernelModule()));
}
