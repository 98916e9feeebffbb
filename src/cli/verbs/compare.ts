import { extname } from "node:path";
import { type Command, Option } from "commander";
import { ATTACKS } from "../../attacks/attacks.ts";
import { stampedTest } from "../../attacks/badnet.ts";
import type { Dataset, ImageSet } from "../../data/dataset.ts";
import { DataError, ProfileError } from "../../errors.ts";
import {
  type CompareOptions,
  type Comparison,
  compareProfiles,
  type Triggered,
} from "../../harness/compare.ts";
import { firstImages } from "../../harness/lab.ts";
import { activationArray, type Values } from "../../model/compile.ts";
import { elements, type Graph } from "../../model/graph.ts";
import { CONVENTIONS, imageInput, imageInputAs } from "../../model/imageInput.ts";
import type { Profile } from "../../profile/schema.ts";
import { comparisonPage } from "../../report/html/comparison.ts";
import { compareText } from "../compareText.ts";
import { loadDataset, mostFrequentClass } from "../dataset.ts";
import { firstInputs, readInputs } from "../inputs.ts";
import { integerOption, print, tell, UsageError, writeOutput } from "../io.ts";
import { readAnyModel } from "../models.ts";
import { findProfile } from "../profiles.ts";
import { startMeter } from "../progress.ts";
import { type AttackOptions, addAttackOptions, checkAttack, patchOf } from "../triggerOptions.ts";
import { loadKernelModule } from "../wasm.ts";

interface Options extends AttackOptions {
  profile: string[];
  dataset?: string;
  data?: string;
  input?: string[];
  images: number;
  inputRange?: string;
  output?: string;
  json?: boolean;
}

const collect = (value: string, before: string[] = []) => [...before, value];

export function add(program: Command): void {
  const command = program
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
    .addOption(
      new Option(
        "--input-range <range>",
        "what the model takes pixels for, where its scale does not tell",
      ).choices(CONVENTIONS.map(({ name }) => name)),
    );
  addAttackOptions(
    command,
    "also stamp its trigger on the images, and say how often each device takes the target",
  )
    .option("-o, --output <html>", "also a page that opens from disk")
    .option("--json", "machine-readable")
    .action(compare);
}

async function compare(path: string, options: Options): Promise<void> {
  if (options.output !== undefined && extname(options.output) !== ".html")
    throw new UsageError(`--output ${options.output}: expected a name ending in .html`);
  if ((options.dataset === undefined) === (options.input === undefined))
    throw new UsageError("expected either --dataset or --input");
  checkAttack(options);
  if (options.attack !== undefined && options.dataset === undefined)
    throw new UsageError("--attack: expected --dataset with it");
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

type ModelInputs = Pick<CompareOptions, "values" | "count" | "labels" | "triggered" | "inputs">;

async function npyInputs(graph: Graph, names: readonly string[], images: number): Promise<ModelInputs> {
  return { ...firstInputs(await readInputs(graph, names), images), inputs: names.join(", ") };
}

/** The first test images as the model's only input takes them. path: the model's. */
async function datasetInputs(
  graph: Graph,
  name: string,
  options: Options,
  path: string,
): Promise<ModelInputs> {
  const { dataset } = await loadDataset(name, options.data);
  const set = firstImages(dataset.test, options.images);
  const { codes, rule } = pixelCodes(graph, set, path, options.inputRange);
  const values = (images: ImageSet) => [codesOf(graph, images, codes)];
  const classes = elements(graph.tensors[graph.outputs[0]].shape.slice(1));
  const known = classes === dataset.classNames.length;
  const other = `the model has ${classes} outputs and ${name} ${dataset.classNames.length} classes`;
  if (!known && options.attack !== undefined)
    throw new DataError(path, "a model of the data set's classes", other);
  const accuracy = known ? "" : `; ${other}, so no accuracy`;
  const inputs = `the first test images of ${name}, ${rule}${accuracy}${dataset.caveat && `. ${dataset.caveat}`}`;
  const triggered = options.attack === undefined ? undefined : stamped(dataset, set, options, values);
  return { values: values(set), count: set.count, ...(known && { labels: set.labels }), triggered, inputs };
}

/** The images of other classes than the target with the trigger on them. */
function stamped(
  dataset: Dataset,
  set: ImageSet,
  options: Options,
  values: (images: ImageSet) => Values[],
): Triggered {
  const target = options.target ?? mostFrequentClass(dataset);
  const patch = patchOf(options);
  const attack = ATTACKS[options.attack as keyof typeof ATTACKS].prepare(
    { target, ...patch },
    set,
    dataset.classNames.length,
  );
  const images = stampedTest(attack, set);
  if (images.count === 0)
    throw new UsageError(`--target: expected images of other classes than ${target}, got none`);
  const trigger = `${patch.size}x${patch.size} ${patch.colour} patch, ${patch.position}, target class ${target}, on the ${images.count} images of other classes`;
  return { values: values(images), count: images.count, target, trigger };
}

/** The input's value of each pixel value. @throws DataError where the images are of another size, or the scale tells no
 * range of pixels. */
function pixelCodes(graph: Graph, set: ImageSet, path: string, range: string | undefined) {
  const tensor = graph.tensors[graph.inputs[0]];
  const size = [set.height, set.width, set.channels];
  if (graph.inputs.length !== 1 || String(tensor.shape.slice(1)) !== String(size))
    throw new DataError(
      path,
      `one input of ${size.join("x")} as the data set's images`,
      graph.inputs.map((id) => graph.tensors[id].shape.slice(1).join("x")).join(" and "),
    );
  const asked = CONVENTIONS.find(({ name }) => name === range);
  const image = asked ? imageInputAs(tensor, asked) : imageInput(tensor);
  if (!image) {
    const { scale, zeroPoint } = tensor.quantization ?? { scale: ["none"], zeroPoint: ["none"] };
    throw new DataError(
      path,
      "an input scale of pixels as 0..1, 0..255 or -1..1 (else give --input-range or --input)",
      `${tensor.dtype}, scale ${scale[0]}, zero point ${zeroPoint[0]}`,
    );
  }
  return { codes: image.values, rule: `pixels taken as ${image.convention} (${image.rule})` };
}

function codesOf(graph: Graph, { pixels }: ImageSet, codes: readonly number[]): Values {
  const values = activationArray(graph.tensors[graph.inputs[0]].dtype, pixels.length);
  for (let i = 0; i < values.length; i++) values[i] = codes[pixels[i]];
  return values;
}
