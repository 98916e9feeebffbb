#!/usr/bin/env node
import "./oldNode.ts";
import module from "node:module";
import { Command, CommanderError } from "commander";
import manifest from "../../package.json" with { type: "json" };

/** What a verb loads is compiled, and its types stripped, once and kept by Node (from 22.1): half of a start. */
module.enableCompileCache?.();

/** Each verb is loaded only when it is asked for: tfjs alone takes longer to load than most verbs to run. */
const VERBS: Record<string, () => Promise<{ add(program: Command): void }>> = {
  audit: () => import("./verbs/audit.ts"),
  reproduce: () => import("./verbs/reproduce.ts"),
  run: () => import("./verbs/run.ts"),
  inspect: () => import("./verbs/inspect.ts"),
  compare: () => import("./verbs/compare.ts"),
  verify: () => import("./verbs/verify.ts"),
  quantize: () => import("./verbs/quantize.ts"),
  train: () => import("./verbs/train.ts"),
  profiles: () => import("./verbs/profiles.ts"),
  report: () => import("./verbs/report.ts"),
  serve: () => import("./verbs/serve.ts"),
  bench: () => import("./verbs/bench.ts"),
};

const program = new Command("blindspot")
  .description("Which backdoor detections survive on the device you ship to, and why the others do not.")
  .version(manifest.version)
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .showHelpAfterError(false);

/** 0 fine, 1 a negative finding (set by the verb), 2 wrong use or bad input: one line that says where and what. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  if (error instanceof CommanderError && error.code === "commander.help") return 2;
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`blindspot: ${message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ")}\n`);
  if (process.env.BLINDSPOT_TRACE) console.error(error);
  return 2;
}

try {
  const asked = VERBS[process.argv[2]];
  for (const load of asked ? [asked] : Object.values(VERBS)) (await load()).add(program);
  for (const command of program.commands) command.exitOverride().configureOutput({ outputError: () => {} });
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}
