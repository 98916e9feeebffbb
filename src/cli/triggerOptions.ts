import type { Command } from "commander";
import { ATTACKS } from "../attacks/attacks.ts";
import { PRESETS } from "../harness/presets.ts";
import { integerOption, UsageError } from "./io.ts";

const { trigger } = PRESETS.quick;

/** An attack as the command line describes it. */
export interface AttackOptions {
  attack?: string;
  target?: number;
  triggerSize: number;
  triggerPosition: string;
  triggerColour: string;
}

/** --target, as option() takes it. */
export const TARGET = [
  "--target <class>",
  "of the attack; default: the most frequent class",
  integerOption("--target", 0, 255),
] as const;

/** --attack, --target and what the trigger looks like. use: what the attack is given for. */
export function addAttackOptions(command: Command, use: string): Command {
  return command
    .option("--attack <name>", `${use}: ${Object.keys(ATTACKS).join(", ")}`)
    .option(...TARGET)
    .option(
      "--trigger-size <pixels>",
      "side of the patch",
      integerOption("--trigger-size", 1, 1024),
      trigger.size,
    )
    .option("--trigger-position <place>", "a corner, centre or x,y", trigger.position)
    .option("--trigger-colour <colour>", "white, yellow, checkerboard or r,g,b", trigger.colour);
}

/** @throws UsageError for an attack that is none. */
export function checkAttack({ attack }: AttackOptions): void {
  if (attack !== undefined && !Object.hasOwn(ATTACKS, attack))
    throw new UsageError(`--attack: expected ${Object.keys(ATTACKS).join(", ")}, got ${attack}`);
}

/** The patch, as the attack takes it. */
export function patchOf({ triggerSize, triggerPosition, triggerColour }: AttackOptions) {
  return {
    size: triggerSize,
    position: triggerPosition,
    offset: trigger.offset,
    colour: triggerColour,
  };
}
