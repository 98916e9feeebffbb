/** What a device keeps from a defender, as harness/access.ts restricts a subject. */
import type { Profile } from "../profile/schema.ts";

const HIDES: Record<Profile["access"]["level"], string> = {
  A1: "hides nothing of the integer model",
  A2: "hides gradients",
  A3: "hides gradients and activations",
  A4: "hides gradients, activations and logits",
  A5: "hides all but the label",
};

export const hides = ({ access }: Profile): string => HIDES[access.level];

export const FAMILIES: Record<Profile["family"], string> = {
  microcontroller: "Microcontrollers",
  npu: "Neural accelerators",
  phone: "Phones",
  computer: "Computers",
  "wasm-runtime": "WebAssembly runtimes",
};
