/** A small network for tests of the command line, and how to run that. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import type { Graph } from "../../src/model/graph.ts";
import { quantizeStatic } from "../../src/quantize/ptq.ts";
import { activationQuantization } from "../../src/quantize/uniform.ts";
import { seededRandom } from "../../src/random.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Of `classes` classes on images of `side` x `side` x 3; untrained. */
export function cnn(side: number, classes: number): { float: Graph; int8: Graph } {
  const random = seededRandom(1);
  const float = ARCHITECTURES.cnn(classes, { height: side, width: side, channels: 3, widthParam: 4, random });
  const range = activationQuantization(-1, 1);
  const scheme = { weightBits: 8, granularity: "per-channel" } as const;
  return { float, int8: quantizeStatic(foldBatchNorm(float), () => range, scheme) };
}

export const { float: floatCnn, int8: int8Cnn } = cnn(8, 3);

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the command line in a directory. */
export function blindspot(directory: string, ...args: string[]): Promise<Ran> {
  const main = join(ROOT, "src/cli/main.ts");
  return new Promise((resolve) =>
    execFile(process.execPath, [main, ...args], { cwd: directory }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr }),
    ),
  );
}
