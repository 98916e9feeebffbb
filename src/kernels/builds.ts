/** Cases on which builds of CMSIS-NN disagree: whose output is the operator's, and by which named defect the others differ. */
import type { Values } from "./args.ts";
import type { Fields } from "./vectorFile.ts";
import type { Stray } from "./vectorShapes.ts";

type Codes = Int8Array | Int16Array | Int32Array;

/** Builds that gave the same. output: null where the call failed. */
interface Group {
  builds: string[];
  status: number;
  /** The output is not the same whatever lies around the operands. */
  strays: boolean;
  output: Codes | null;
}

export interface Explained {
  passed: boolean;
  /** Defects that give the outputs of some builds, to the last bit. */
  reproduced: string[];
  /** Builds whose output nothing here gives, with the cause. */
  unequal: string[];
  detail: string;
}

/** @throws ModelFormatError for a build's output of another form. */
function readGroups(fields: Fields, read: (build: Fields) => Codes): Group[] {
  const builds = fields.record("outputs_by_build");
  const groups = new Map<string, Group>();
  for (const name of builds.names()) {
    const build = builds.record(name);
    const status = build.integer("status", -(2 ** 31), 2 ** 31 - 1);
    const strays = build.isTrue("depends_on_memory_outside_operands");
    const output = status === 0 && build.has("output") ? read(build) : null;
    const key = `${status} ${strays} ${output}`;
    const group = groups.get(key) ?? { builds: [], status, strays, output };
    group.builds.push(name);
    groups.set(key, group);
  }
  return [...groups.values()];
}

const same = (a: Codes, b: ArrayLike<number | bigint>, sound = (_: number) => true) =>
  a.length === b.length && a.every((code, i) => !sound(i) || code === Number(b[i]));

/**
 * right: what the kernels gave. quirks: what each named defect makes of the case. Passes where every build that returned is
 * explained: by the right output, a quirk's, or memory that it should not have read.
 */
export function explainBuilds(
  fields: Fields,
  right: Codes,
  quirks: readonly [string, Values][],
  stray: Stray | undefined,
  read: (build: Fields) => Codes,
): Explained {
  const reproduced: string[] = [];
  const unequal: string[] = [];
  const unknown: string[] = [];
  let known = 0;
  for (const { builds, status, strays, output } of readGroups(fields, read)) {
    const who = builds.length > 3 ? `${builds[0]} and ${builds.length - 1} more` : builds.join(", ");
    if (output === null) {
      unequal.push(`${who}: the call returns ${status}${stray ? `, ${stray.name}` : ""}`);
      continue;
    }
    if (same(output, right)) {
      known += builds.length;
      continue;
    }
    const quirk = quirks.find(([, values]) => same(output, values as Codes));
    if (quirk) {
      known += builds.length;
      reproduced.push(quirk[0]);
    } else if (stray && (stray.sound ? same(output, right, stray.sound) : strays))
      unequal.push(`${who}: reads memory outside of its operands, ${stray.name}`);
    else if (strays) unequal.push(`${who}: reads memory outside of its operands`);
    else unknown.push(who);
  }
  const isKnown = known > 0 || (unequal.length > 0 && unknown.length === 0);
  const differing = unknown.map((who) => `${who}: differs, for no cause known here`);
  return {
    passed: isKnown,
    reproduced: [...new Set(reproduced)],
    unequal: isKnown ? [...unequal, ...differing] : unequal,
    detail: isKnown ? `${right.length} values` : `no build has these values: ${unknown.join("; ")}`,
  };
}
