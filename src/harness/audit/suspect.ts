import type { Trigger } from "../../attacks/attack.ts";
import type { ImageSet } from "../../data/dataset.ts";
import type { Material, Outcome } from "../../defenses/defense.ts";
import { firstOthers } from "../../defenses/images.ts";
import { firstImages } from "../lab.ts";
import type { AuditLab } from "./inputs.ts";
import type { Suspect } from "./result.ts";
import type { Place } from "./steps.ts";

/** What Neural Cleanse accuses, and with which trigger; null where it accuses nothing. */
export function suspectOf(place: Place, { verdict, score, flagged, figures }: Outcome): Suspect | null {
  const found = figures.find(({ kind }) => kind === "trigger");
  if (verdict !== "detected" || found?.kind !== "trigger") return null;
  return { class: flagged[0], ...place, score: score!, mask: found.mask, pattern: found.pattern };
}

/** What the defenses work with. A suspect stands for the truth that nobody knows. */
export function suspectMaterial({ images, preset }: AuditLab, suspect: Suspect | null): Material {
  const clean = firstImages(images.clean, preset.cleanImages);
  const test = firstImages(images.test, preset.testImages);
  const training = images.training ?? firstImages(clean, 0);
  const others = suspect ? firstOthers(test, suspect.class, test.count) : firstImages(test, 0);
  return {
    clean,
    training: { ...training, poisoned: new Uint8Array(training.count) },
    test,
    triggered: suspect ? blended(others, suspect) : others,
    truth: suspect && { backdoored: true, target: suspect.class, trigger: triggerOf(suspect, test) },
  };
}

/** The images under the suspect's trigger, as a camera's bytes: rounded half up. */
function blended(images: ImageSet, { mask, pattern }: Suspect): ImageSet {
  const { channels } = images;
  const pixels = images.pixels.slice();
  for (let at = 0; at < pixels.length; at++) {
    const value = at % pattern.length;
    const weight = mask[Math.floor(value / channels)];
    pixels[at] = Math.floor((1 - weight) * pixels[at] + weight * pattern[value] + 0.5);
  }
  return { ...images, pixels };
}

function triggerOf({ mask, pattern }: Suspect, { height, width, channels }: ImageSet): Trigger {
  return {
    ...{ height, width, channels },
    mask: Uint8Array.from(mask, (weight) => (weight >= 0.5 ? 1 : 0)),
    pattern: Uint8Array.from(pattern),
  };
}
