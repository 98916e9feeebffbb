/** A file that should hold a model does not, or holds one that contradicts itself. */
export class ModelFormatError extends Error {
  override name = "ModelFormatError";
  /** where: file and place; expected and got complete the sentence. */
  constructor(where: string, expected: string, got: string) {
    super(`${where}: expected ${expected}, got ${got}`);
  }
}

/** A model uses what the profile or the kernels cannot do. All such nodes are in `nodes`, one line each. */
export class UnsupportedOpError extends Error {
  override name = "UnsupportedOpError";
  readonly nodes: string[];
  constructor(where: string, nodes: string[]) {
    super(`${where}: cannot run ${nodes.length} node${nodes.length === 1 ? "" : "s"}: ${nodes.join("; ")}`);
    this.nodes = nodes;
  }
}

/** A device profile that is not one. */
export class ProfileError extends Error {
  override name = "ProfileError";
  constructor(where: string, expected: string, got: string) {
    super(`${where}: expected ${expected}, got ${got}`);
  }
}

/** Images, labels or a directory of them that cannot be used as they are. */
export class DataError extends Error {
  override name = "DataError";
  constructor(where: string, expected: string, got: string) {
    super(`${where}: expected ${expected}, got ${got}`);
  }
}

/** A policy of an audit that is not one. */
export class PolicyError extends Error {
  override name = "PolicyError";
  constructor(where: string, expected: string, got: string) {
    super(`${where}: expected ${expected}, got ${got}`);
  }
}
