/**
 * Imports mutated .tflite files: node test/import/fuzz-tflite.ts [count] [seed]
 * Seeds are a built model, what the exporter writes and, where there are any, the files of ../shared/models. Exits 1 where an import throws anything
 * but ModelFormatError or UnsupportedOpError; says which file, by seed and number.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { ModelFormatError, UnsupportedOpError } from "../../src/errors.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { seededRandom } from "../../src/random.ts";
import { exampleTflite } from "./exampleTflite.ts";
import { exportedTflite } from "./exportedFiles.ts";
import { mutate } from "./mutate.ts";

const [count, seed] = [Number(process.argv[2] ?? 20_000), Number(process.argv[3] ?? 1)];
const MODELS = "../shared/models";
const folders = existsSync(MODELS) ? readdirSync(MODELS) : [];
const files = folders.map((name) => `${MODELS}/${name}/model.tflite`).filter((path) => existsSync(path));
/** Large weights only cost time: mutations aim at the structure. */
const SMALL = 400_000;
const given = [exampleTflite(), ...files.map((path) => new Uint8Array(readFileSync(path)))].filter(
  ({ length }) => length < SMALL,
);
/** Half of the files come from either kind. */
const kinds = [given, Object.values(exportedTflite())];

const outcomes = { imported: 0, ModelFormatError: 0, UnsupportedOpError: 0, crashed: 0 };
let slowest = { milliseconds: 0, file: 0 };
let heaviest = 0;
const start = performance.now();
for (let file = 0; file < count; file++) {
  const random = seededRandom(seed).fork(`${file}`);
  const seeds = kinds[file % kinds.length];
  const bytes = mutate(seeds[random.below(seeds.length)], random);
  const before = performance.now();
  try {
    importTflite(bytes, "fuzz");
    outcomes.imported++;
  } catch (error) {
    if (error instanceof ModelFormatError) outcomes.ModelFormatError++;
    else if (error instanceof UnsupportedOpError) outcomes.UnsupportedOpError++;
    else {
      outcomes.crashed++;
      console.error(`seed ${seed} file ${file}:`, error);
    }
  }
  const milliseconds = performance.now() - before;
  if (milliseconds > slowest.milliseconds) slowest = { milliseconds, file };
  if (file % 256 === 0) heaviest = Math.max(heaviest, process.memoryUsage().rss);
}
const seconds = (performance.now() - start) / 1000;
console.log(`${count} files of ${kinds.flat().length} seeds, seed ${seed}, ${seconds.toFixed(1)} s`);
console.log(JSON.stringify(outcomes));
console.log(`slowest: file ${slowest.file}, ${slowest.milliseconds.toFixed(1)} ms`);
console.log(`largest resident size: ${(heaviest / 2 ** 20).toFixed(0)} MiB`);
process.exitCode = outcomes.crashed > 0 ? 1 : 0;
