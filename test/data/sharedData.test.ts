import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { nodeFiles } from "../../src/cli/nodeFiles.ts";
import { DATASETS } from "../../src/data/datasets.ts";

/** Real data lies beside the checkout where there is any; no test needs it. */
const pathOf = (name: string) => fileURLToPath(new URL(`../../../shared/data/${name}`, import.meta.url));

test.skipIf(!existsSync(pathOf("gtsrb")))(
  "the real GTSRB records (skipped where absent) split by track",
  async () => {
    const { train, held, test } = await DATASETS.gtsrb.load({ path: pathOf("gtsrb") }, nodeFiles);
    expect(train.count + held.count).toBe(13060);
    expect(test.count).toBe(5000);
    const tracks = new Set(train.tracks);
    expect(tracks.size + new Set(held.tracks).size).toBe(1306);
    expect(held.tracks.some((track) => tracks.has(track))).toBe(false);
    for (const { labels } of [train, held, test]) expect(new Set(labels).size).toBe(43);
    expect(held.count / 13060).toBeCloseTo(0.15, 1);
  },
);

test.skipIf(!existsSync(pathOf("cifar10")))(
  "the real CIFAR-10 records (skipped where absent) load",
  async () => {
    const { train, held, test } = await DATASETS.cifar10.load({ path: pathOf("cifar10") }, nodeFiles);
    expect([train.count, held.count, test.count]).toEqual([13600, 2400, 5000]);
    const counts = new Array(10).fill(0);
    for (const label of held.labels) counts[label]++;
    expect(counts).toEqual(Array(10).fill(240));
  },
);
