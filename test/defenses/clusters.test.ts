import { describe, expect, test } from "vitest";
import type { PoisonedSet } from "../../src/attacks/attack.ts";
import { activationClustering } from "../../src/defenses/activationClustering.ts";
import { principalComponents, whitened } from "../../src/defenses/components.ts";
import type { Defense, Material, Subject } from "../../src/defenses/defense.ts";
import { spectralSignatures } from "../../src/defenses/spectralSignatures.ts";
import { silhouette, twoMeans } from "../../src/defenses/twoMeans.ts";
import { type Random, seededRandom } from "../../src/random.ts";

const DEPTH = 16;
const CLASSES = 4;

/** Features of one class: a round cloud, the first `poisoned` rows moved by `shift` along the first axis. */
function cloud(random: Random, count: number, poisoned: number, shift: number): Float64Array {
  return Float64Array.from({ length: count * DEPTH }, (_, at) => {
    const moved = at % DEPTH === 0 && Math.floor(at / DEPTH) < poisoned;
    return random.normal() + (moved ? shift : 0);
  });
}

/** A subject that reads its features off the pixels' first value, an index into `features`. */
function lookup(features: Float64Array): Subject {
  return {
    name: "table",
    access: "A2",
    integer: true,
    classes: CLASSES,
    height: 1,
    width: 2,
    channels: 1,
    scoreKind: "logits",
    scores: (_, count) => new Float32Array(count * CLASSES),
    featureDepth: DEPTH,
    features: (pixels, count) => {
      const rows = new Float32Array(count * DEPTH);
      for (let i = 0; i < count; i++) {
        const index = pixels[2 * i] * 256 + pixels[2 * i + 1];
        rows.set(features.subarray(index * DEPTH, (index + 1) * DEPTH), i * DEPTH);
      }
      return rows;
    },
    missing: {},
  };
}

/** CLASSES labels of 100 images; label 1 has `poisoned` poisoned ones, `shift` away. */
function scene(poisoned: number, shift: number): { subject: Subject; material: Material } {
  const random = seededRandom(poisoned + shift);
  const [each, count] = [100, 100 * CLASSES];
  const features = new Float64Array(count * DEPTH);
  for (let label = 0; label < CLASSES; label++)
    features.set(cloud(random, each, label === 1 ? poisoned : 0, shift), label * each * DEPTH);
  const index = (i: number) => [Math.floor(i / 256), i % 256];
  const training: PoisonedSet = {
    count,
    height: 1,
    width: 2,
    channels: 1,
    pixels: Uint8Array.from(Array.from({ length: count }, (_, i) => index(i)).flat()),
    labels: Uint8Array.from({ length: count }, (_, i) => Math.floor(i / each)),
    tracks: new Int32Array(count),
    poisoned: Uint8Array.from({ length: count }, (_, i) => (i >= each && i < each + poisoned ? 1 : 0)),
  };
  const trigger = {
    height: 1,
    width: 2,
    channels: 1,
    mask: Uint8Array.of(0, 1),
    pattern: Uint8Array.of(0, 255),
  };
  const truth = { backdoored: poisoned > 0, target: 1, trigger };
  return {
    subject: lookup(features),
    material: { clean: training, training, test: training, triggered: training, truth },
  };
}

function judge<Options extends object>(defense: Defense<Options>, poisoned: number, shift: number) {
  const { subject, material } = scene(poisoned, shift);
  return defense.run(subject, material, defense.options, seededRandom(1), () => {});
}

describe("activationClustering on clouds of features", () => {
  test("takes exactly the far fifth of a label for poison", async () => {
    const { verdict, flagged, measures } = await judge(activationClustering, 20, 10);
    expect(verdict).toBe("detected");
    expect(flagged).toEqual([1]);
    expect(measures).toMatchObject({
      poisonInMinority: 1,
      cleanInMinority: 0,
      tpr: 1,
      fpr: 0,
      auroc: 1,
      poisonShare: 0.2,
      targetMinorityShare: 0.2,
    });
  });

  test("finds one round cloud in every label of a clean set", async () => {
    const { verdict, measures } = await judge(activationClustering, 0, 0);
    expect(verdict).toBe("not detected");
    expect(measures).not.toHaveProperty("auroc");
    expect(measures).not.toHaveProperty("tpr");
    expect(measures["poisonShare"]).toBe(0);
  });

  test("stays silent on poison that is half of its label, though the clusters are pure", async () => {
    const { verdict, measures } = await judge(activationClustering, 50, 10);
    expect(verdict).toBe("not detected");
    expect(measures["targetScore"]).toBe(0);
    expect(measures["targetSilhouette"]).toBeGreaterThan(0.3);
    expect(measures["auroc"]! === 1 || measures["auroc"] === 0).toBe(true);
  });
});

describe("spectralSignatures on clouds of features", () => {
  test("ranks a far tenth of a label first and removes all of it", async () => {
    const { verdict, flagged, measures } = await judge(spectralSignatures, 10, 12);
    expect(verdict).toBe("detected");
    expect(flagged).toEqual([1]);
    expect(measures["auroc"]).toBe(1);
    expect(measures["tpr"]).toBe(1);
    // 15 of 100 are removed, 10 of them poison.
    expect(measures["fpr"]).toBeCloseTo(5 / 90, 9);
    expect(measures["targetKurtosis"]).toBeGreaterThan(4);
  });

  test("sees round clouds as such", async () => {
    const { verdict, score } = await judge(spectralSignatures, 0, 0);
    expect(verdict).toBe("not detected");
    expect(score!).toBeLessThan(1.3);
  });

  test("cannot rank poison that is half of its label, though the ratio stands out", async () => {
    const { measures, flagged } = await judge(spectralSignatures, 50, 12);
    expect(flagged).toEqual([1]);
    expect(measures["auroc"]).toBeLessThan(0.7);
    expect(measures["targetKurtosis"]).toBeLessThan(1.5);
  });
});

describe("principalComponents", () => {
  const values = cloud(seededRandom(3), 60, 20, 5);
  const components = principalComponents(values, 60, DEPTH, DEPTH);

  test("gives projections with its variances and without correlation", () => {
    const { projections, variances } = components;
    for (let a = 0; a < DEPTH; a++)
      for (let b = 0; b <= a; b++) {
        let sum = 0;
        for (let i = 0; i < 60; i++) sum += projections[i * DEPTH + a] * projections[i * DEPTH + b];
        expect(sum / 59).toBeCloseTo(a === b ? variances[a] : 0, 9);
      }
    expect([...variances]).toEqual([...variances].sort((a, b) => b - a));
  });

  test("keeps the total variance", () => {
    let total = 0;
    for (let d = 0; d < DEPTH; d++) {
      const column = Array.from({ length: 60 }, (_, i) => values[i * DEPTH + d]);
      const mean = column.reduce((a, b) => a + b, 0) / 60;
      total += column.reduce((sum, value) => sum + (value - mean) * (value - mean), 0) / 59;
    }
    expect(components.variances.reduce((a, b) => a + b, 0)).toBeCloseTo(total, 9);
  });

  test("leaves constant directions at zero when whitened", () => {
    const flat = Float64Array.from({ length: 40 }, (_, at) => (at % 2 === 0 ? at : 7));
    const { projections } = whitened(principalComponents(flat, 20, 2, 2));
    for (let i = 0; i < 20; i++) expect(projections[2 * i + 1]).toBe(0);
  });
});

describe("twoMeans and silhouette", () => {
  const values = Float64Array.of(0, 0, 1, 0, 0, 1, 10, 10, 11, 10);

  test("call the smaller group 1", () => {
    const clusters = twoMeans(values, 2, 3, seededRandom(1))!;
    expect([...clusters.assignment]).toEqual([0, 0, 0, 1, 1]);
    expect(clusters.minorityShare).toBe(0.4);
    expect([...clusters.lean].map(Math.sign)).toEqual([-1, -1, -1, 1, 1]);
  });

  test("the silhouette is that of the definition", () => {
    const points = [0, 1, 2, 3, 4].map((i) => [values[2 * i], values[2 * i + 1]]);
    const groups = [0, 0, 0, 1, 1];
    const gap = (a: number, b: number) =>
      Math.hypot(points[a][0] - points[b][0], points[a][1] - points[b][1]);
    const wanted = groups.map((group, i) => {
      const mean = (other: number) => {
        const members = groups.flatMap((g, j) => (g === other && j !== i ? [gap(i, j)] : []));
        return members.reduce((a, b) => a + b, 0) / members.length;
      };
      const [a, b] = [mean(group), mean(1 - group)];
      return (b - a) / Math.max(a, b);
    });
    const sample = { cap: 100, random: seededRandom(1) };
    const got = silhouette(values, 2, Uint8Array.from(groups), sample);
    expect(got).toBeCloseTo(wanted.reduce((a, b) => a + b, 0) / 5, 12);
  });

  test("equal rows make no two clusters", () => {
    expect(twoMeans(new Float64Array(20).fill(3), 2, 3, seededRandom(1))).toBeNull();
  });

  test("a rotation changes neither: independent components cluster like whitened ones", () => {
    const rows = cloud(seededRandom(8), 50, 12, 6).subarray(0, 50 * DEPTH);
    const space = whitened(principalComponents(rows, 50, DEPTH, 2));
    const [cos, sin] = [0.6, 0.8];
    const turned = Float64Array.from(space.projections, (value, at) =>
      at % 2 === 0
        ? cos * value - sin * space.projections[at + 1]
        : sin * space.projections[at - 1] + cos * value,
    );
    const describeClusters = (points: Float64Array) => {
      const { assignment } = twoMeans(points, 2, 5, seededRandom(1))!;
      return { assignment, value: silhouette(points, 2, assignment, { cap: 50, random: seededRandom(2) }) };
    };
    const [before, after] = [describeClusters(space.projections), describeClusters(turned)];
    expect(after.assignment).toEqual(before.assignment);
    expect(after.value).toBeCloseTo(before.value, 9);
  });
});
