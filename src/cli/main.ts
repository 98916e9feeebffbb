#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { addBench } from "./verbs/bench.ts";
import { addProfiles } from "./verbs/profiles.ts";
import { addQuantize } from "./verbs/quantize.ts";
import { addReport } from "./verbs/report.ts";
import { addReproduce } from "./verbs/reproduce.ts";
import { addRun } from "./verbs/run.ts";
import { addTrain } from "./verbs/train.ts";
import { addVerify } from "./verbs/verify.ts";

const VERBS = [addReproduce, addRun, addVerify, addQuantize, addTrain, addProfiles, addReport, addBench];

const program = new Command("blindspot")
  .description("Which backdoor detections survive on the device you ship to, and why the others do not.")
  .version(manifest.version)
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .showHelpAfterError(false);
for (const add of VERBS) add(program);
for (const command of program.commands) command.exitOverride().configureOutput({ outputError: () => {} });

/** 0 fine, 1 a negative finding (set by the verb), 2 wrong use or bad input: one line that says where and what. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`blindspot: ${message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ")}\n`);
  if (process.env.BLINDSPOT_TRACE) console.error(error);
  return 2;
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}
