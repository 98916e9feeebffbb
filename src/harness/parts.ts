import type { AccessLevel, Defense, Material, Outcome, Subject } from "../defenses/defense.ts";
import type { Random } from "../random.ts";
import { type Progress, remembered, stepName } from "./lab.ts";
import { packed, unpacked } from "./packed.ts";
import type { Store } from "./store.ts";

/** A run of a defense whose finished parts are kept. */
export interface DefenseRun {
  store: Store;
  /** Stands for all that decides the outcome: what the outcome is kept under. */
  name: string;
  defense: Defense;
  options: object;
  random: Random;
  /** The subject's, as far as is known without opening it. */
  classes: number;
  access: AccessLevel;
  subject(): Promise<Subject>;
  material(): Material;
}

/** How many parts a defense has on a subject. */
export function countParts({ defense, classes, access }: Pick<DefenseRun, "defense" | "classes" | "access">) {
  return defense.parts?.count(classes, access) ?? 0;
}

/** Does one part, or recalls it. */
export async function runPart(run: DefenseRun, part: number, progress: Progress): Promise<Uint8Array> {
  const { store, name, defense, options, random } = run;
  return remembered(store, await stepName("part", "bin", { name, part }), async () => {
    const subject = await run.subject();
    return packed(defense.parts!.run(subject, run.material(), options, random, part, progress));
  });
}

/** Does the rest: the parts that are not kept yet, and what is made of all. */
export async function runDefense(run: DefenseRun, progress: Progress): Promise<Outcome> {
  const { defense, options, random } = run;
  const count = countParts(run);
  const done: unknown[] = [];
  for (let i = 0; i < count; i++)
    done.push(unpacked(await runPart(run, i, (here, of) => progress(i + here / of, count))));
  const given = count > 0 ? done : undefined;
  return defense.run(await run.subject(), run.material(), options, random, progress, given);
}
