/** node test/import/fuzz-onnx.ts [count] [seed] [model.onnx ...]: imports `count` broken models and reports. Seeds are small
 * models, what the exporter writes, and the files of ../shared/models where there are any. A crash prints the file in base64
 * and ends with 1. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { seededRandom } from "../../src/random.ts";
import { exportedOnnx } from "./exportedFiles.ts";
import { mutated, type Outcome, outcomeOf, SEEDS } from "./onnxMutations.ts";

const count = Number(process.argv[2] ?? 20_000);
const seed = Number(process.argv[3] ?? 1);
const files = process.argv.slice(4).map((path) => new Uint8Array(readFileSync(path)));
const MODELS = "../shared/models";
const names = existsSync(MODELS) ? readdirSync(MODELS, { recursive: true, encoding: "utf8" }) : [];
const shared = names
  .filter((name) => name.endsWith(".onnx"))
  .map((name) => new Uint8Array(readFileSync(`${MODELS}/${name}`)));
const seeds = [...Object.values(SEEDS), ...Object.values(exportedOnnx()), ...shared, ...files];

const random = seededRandom(seed);
const outcomes: Record<Outcome, number> = { imported: 0, malformed: 0, unsupported: 0 };
let slowest = 0;
let largest = 0;
const start = performance.now();
for (let i = 0; i < count; i++) {
  const bytes = mutated(seeds[i % seeds.length], random);
  const from = performance.now();
  try {
    outcomes[outcomeOf(bytes)]++;
  } catch (error) {
    console.error(`file ${i} of seed ${seed}: ${(error as Error).stack}`);
    console.error(Buffer.from(bytes).toString("base64"));
    process.exit(1);
  }
  slowest = Math.max(slowest, performance.now() - from);
  if (i % 256 === 0) largest = Math.max(largest, process.memoryUsage().rss);
}
const seconds = (performance.now() - start) / 1000;
console.log(
  `${count} files, seed ${seed}: ${outcomes.imported} imported, ${outcomes.malformed} malformed, ` +
    `${outcomes.unsupported} unsupported; ${seconds.toFixed(1)} s, slowest ${slowest.toFixed(0)} ms, ` +
    `largest memory ${(largest / 2 ** 20).toFixed(0)} MiB`,
);
