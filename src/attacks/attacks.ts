import { badnet } from "./badnet.ts";

/** The attacks that `--attack` names. */
export const ATTACKS = { badnet };
