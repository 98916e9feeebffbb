import { anomaly } from "../../defenses/statistics.ts";
import { exp } from "../../elementary.ts";
import { type Random, seededRandom } from "../../random.ts";

/** What the values of clean classes may be distributed as: nobody knows, so three shapes bound it. */
const SHAPES: Record<string, (random: Random) => number> = {
  normal: (random) => random.normal(),
  "lognormal (sigma 0.3)": (random) => exp(0.3 * random.normal()),
  "Student t, 4 degrees": (random) => {
    let square = 0;
    for (let i = 0; i < 4; i++) square += random.normal() ** 2;
    return random.normal() / Math.sqrt(square / 4);
  },
};

const DRAWS = 1000;

/** The least and the largest over SHAPES. */
export interface FalseAlarms {
  low: number;
  high: number;
}

/**
 * How often Neural Cleanse's largest anomaly index would exceed each threshold on a clean model whose classes' norms are
 * independent draws: by simulation, to about two points. What a real population gives is not known without one.
 */
export function chanceOfAnomaly(classes: number, thresholds: readonly number[]): FalseAlarms[] {
  const rates = Object.entries(SHAPES).map(([name, draw]) => {
    const random = seededRandom(1).fork(name);
    const above = new Array<number>(thresholds.length).fill(0);
    for (let n = 0; n < DRAWS; n++) {
      const { indices } = anomaly(Float64Array.from({ length: classes }, () => draw(random)));
      const top = indices.reduce((a, b) => Math.max(a, b));
      thresholds.forEach((threshold, i) => {
        if (top > threshold) above[i]++;
      });
    }
    return above.map((count) => count / DRAWS);
  });
  return thresholds.map((_, i) => {
    const each = rates.map((rate) => rate[i]);
    return { low: Math.min(...each), high: Math.max(...each) };
  });
}
