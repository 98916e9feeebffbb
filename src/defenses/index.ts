import { activationClustering } from "./activationClustering.ts";
import type { Defense } from "./defense.ts";
import { finePruning } from "./finePruning.ts";
import { neuralCleanse } from "./neuralCleanse.ts";
import { spectralSignatures } from "./spectralSignatures.ts";
import { strip } from "./strip.ts";

/** One row a defense, in the seed paper's order. */
export const DEFENSES: readonly Defense[] = [
  neuralCleanse,
  activationClustering,
  spectralSignatures,
  strip,
  finePruning,
];

/** The row of that id. @throws RangeError. */
export function defenseOf(id: string): Defense {
  const found = DEFENSES.find((defense) => defense.id === id);
  if (!found) throw new RangeError(`defense: expected ${DEFENSES.map((d) => d.id).join(", ")}, got ${id}`);
  return found;
}
