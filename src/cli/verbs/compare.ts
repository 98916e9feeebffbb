import { extname } from "node:path";
import type { Command } from "commander";
import type { ImageSet } from "../../data/dataset.ts";
import { DataError, ProfileError } from "../../errors.ts";
import { type CompareOptions, type Comparison, compareProfiles } from "../../harness/compare.ts";
import { firstImages } from "../../harness/lab.ts";
import { activationArray } from "../../model/compile.ts";
import { elements, type Graph } from "../../model/graph.ts";
import { imageInput } from "../../model/imageInput.ts";
import type { Profile } from "../../profile/schema.ts";
import { comparisonPage } from "../../report/html/comparison.ts";
import { compareText } from "../compareText.ts";
import { loadDataset } from "../dataset.ts";
import { firstInputs, readInputs } from "../inputs.ts";
import { integerOption, print, tell, UsageError, writeOutput } from "../io.ts";
import { readAnyModel } from "../models.ts";
import { findProfile } from "../profiles.ts";
import { startMeter } from "../progress.ts";
import { loadKernelModule } from "../wasm.ts";

interface Options {
  profile: string[];
  dataset?: string;
  data?: string;
  input?: string[];
  images: number;
  output?: string;
  json?: boolean;
}

const collect = (value: string, before: string[] = []) => [...before, value];

export function add(program: Command): void {
  program
    .command("compare")
    .description("one model on several devices, layer by layer; exit code 1 when a device cannot run it")
    .argument("<model>", "a quantized model: .blindspot, .tflite or .onnx")
    .requiredOption(
      "--profile <profile>",
      "a device, by id or file; once a device, the first is the reference",
      collect,
    )
    .option("--dataset <name>", "its test images: signs, gtsrb or cifar10")
    .option("--data <directory>", "where the images are; signs needs none")
    .option("--input <npy...>", "in place of a data set: one .npy a model input, in its own type")
    .option("--images <number>", "at most so many", integerOption("--images", 1, 1e6), 1000)
    .option("-o, --output <html>", "also a page that opens from disk")
    .option("--json", "machine-readable")
    .action(compare);
}

async function compare(path: string, options: Options): Promise<void> {
  if (options.output !== undefined && extname(options.output) !== ".html")
    throw new UsageError(`--output ${options.output}: expected a name ending in .html`);
  if ((options.dataset === undefined) === (options.input === undefined))
    throw new UsageError("expected either --dataset or --input");
  const profiles = await readProfiles(options.profile);
  const graph = await readAnyModel(path);
  const inputs = options.input
    ? await npyInputs(graph, options.input, options.images)
    : await datasetInputs(graph, options.dataset!, options, path);
  const comparison = await compared({ graph, profiles, module: await loadKernelModule(), ...inputs });
  if (options.output !== undefined) await writeOutput(options.output, comparisonPage(comparison));
  print(options.json ? JSON.stringify(comparison, null, 2) : compareText(comparison));
  if (options.output !== undefined) tell(`wrote ${options.output}`);
  if (comparison.profiles.some(({ run }) => !run)) process.exitCode = 1;
}

/** @throws ProfileError for fewer than two, or one given twice. */
async function readProfiles(names: readonly string[]): Promise<Profile[]> {
  const profiles = await Promise.all(names.map(findProfile));
  const ids = profiles.map(({ id }) => id);
  if (new Set(ids).size !== ids.length || ids.length < 2)
    throw new ProfileError("--profile", "two or more different profiles", ids.join(", "));
  return profiles;
}

async function compared(options: CompareOptions): Promise<Comparison> {
  const meter = startMeter(process.stderr);
  try {
    meter.expect(1);
    const task = meter.begin("compare", 1);
    return await compareProfiles({ ...options, progress: (done, total) => task.advance(done / total) });
  } finally {
    meter.stop();
  }
}

type ModelInputs = Pick<CompareOptions, "values" | "count" | "labels" | "inputs">;

async function npyInputs(graph: Graph, names: readonly string[], images: number): Promise<ModelInputs> {
  return { ...firstInputs(await readInputs(graph, names), images), inputs: names.join(", ") };
}

/** The first test images as the model's only input takes them. path: the model's. */
async function datasetInputs(
  graph: Graph,
  name: string,
  { data, images }: Options,
  path: string,
): Promise<ModelInputs> {
  const { dataset } = await loadDataset(name, data);
  const set = firstImages(dataset.test, images);
  const { values, rule } = imageValues(graph, set, path);
  const classes = elements(graph.tensors[graph.outputs[0]].shape.slice(1));
  const known = classes === dataset.classNames.length;
  const accuracy = known
    ? ""
    : `; the model has ${classes} outputs and ${name} ${dataset.classNames.length} classes, so no accuracy`;
  const inputs = `the first test images of ${name}, ${rule}${accuracy}${dataset.caveat && `. ${dataset.caveat}`}`;
  return { values, count: set.count, ...(known && { labels: set.labels }), inputs };
}

/** @throws DataError where the images are of another size, or the scale tells no range of pixels. */
function imageValues(graph: Graph, set: ImageSet, path: string) {
  const tensor = graph.tensors[graph.inputs[0]];
  const size = [set.height, set.width, set.channels];
  if (graph.inputs.length !== 1 || String(tensor.shape.slice(1)) !== String(size))
    throw new DataError(
      path,
      `one input of ${size.join("x")} as the data set's images`,
      graph.inputs.map((id) => graph.tensors[id].shape.slice(1).join("x")).join(" and "),
    );
  const image = imageInput(tensor);
  if (!image) {
    const { scale, zeroPoint } = tensor.quantization ?? { scale: ["none"], zeroPoint: ["none"] };
    throw new DataError(
      path,
      "an input scale of pixels as 0..1, 0..255 or -1..1 (else give --input)",
      `${tensor.dtype}, scale ${scale[0]}, zero point ${zeroPoint[0]}`,
    );
  }
  const values = activationArray(tensor.dtype, set.pixels.length);
  for (let i = 0; i < values.length; i++) values[i] = image.values[set.pixels[i]];
  return { values: [values], rule: `pixels taken as ${image.convention} (${image.rule})` };
}
