/** Why one node cannot be a Graph node; importOnnx gathers these into one UnsupportedOpError. */
export class Refusal extends Error {
  override name = "Refusal";
}

/** @throws Refusal always. */
export function refuse(reason: string): never {
  throw new Refusal(reason);
}
