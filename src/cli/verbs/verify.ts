import type { Command } from "commander";
import { print } from "../io.ts";
import { verifyPath } from "../vectorPaths.ts";
import type { Build } from "../wasm.ts";

/** One line of the table: a kernel in one build, or a model under one runtime's profile. */
export interface Line {
  name: string;
  /** both: what does not depend on it, as a file that cannot be read. */
  build: Build | "both";
  passed: number;
  failed: number;
  skipped: number;
  /** The first difference or the reason of the skip. */
  note: string;
  /** What others gave and nothing here gives, with the causes. */
  unequal?: string[];
}

export function add(program: Command): void {
  program
    .command("verify")
    .description(
      "golden vectors made by others, in both builds of the kernels; exit code 1 when a value differs",
    )
    .argument(
      "<paths...>",
      "vector files, tables of requantizations, model folders (model and vectors.json), or directories of any",
    )
    .option("--json", "machine-readable, on stdout")
    .action(verify);
}

async function verify(paths: string[], { json }: { json?: boolean }): Promise<void> {
  const lines: Line[] = [];
  for (const path of paths)
    for await (const line of verifyPath(path)) {
      lines.push(line);
      if (!json) print(text(line));
    }
  if (json) print(JSON.stringify(lines, null, 2));
  else printEnd(lines);
  if (lines.some(({ failed }) => failed > 0)) process.exitCode = 1;
}

/** What was not equal or not run, with its cause, and the sums. */
function printEnd(lines: readonly Line[]): void {
  const total = (key: "passed" | "failed" | "skipped") => lines.reduce((sum, line) => sum + line[key], 0);
  const rest = lines.filter(({ failed, skipped, unequal = [] }) => failed + skipped + unequal.length > 0);
  if (rest.length > 0) print("\nNot equal or not run:");
  const builds = new Map<string, string[]>();
  for (const { name, build, note, failed, unequal } of rest) {
    const text = `${name}: ${failed === 0 && unequal ? unequal.join("; ") : note}`;
    builds.set(text, [...(builds.get(text) ?? []), build]);
  }
  for (const [text, of] of builds)
    print(`- ${text}${of[0] === "both" || of.length > 1 ? "" : ` (${of[0]})`}`);
  const skipped = total("skipped");
  print(`${total("passed")} passed, ${total("failed")} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
}

function text({ name, build, passed, failed, skipped, note }: Line): string {
  const verdict = failed > 0 ? "DIFFERS" : passed > 0 ? "equal" : "skipped";
  const counts = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
  return `${verdict.padEnd(8)} ${name.padEnd(52)} ${build.padEnd(7)} ${counts}${note ? `  (${note})` : ""}`;
}
