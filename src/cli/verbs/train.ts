import type { Command } from "commander";
import { badnet } from "../../attacks/badnet.ts";
import { startBackend } from "../../float/backend.ts";
import { trainedModel } from "../../harness/deploy.ts";
import type { ModelSpec, Preset } from "../../harness/experiment.ts";
import { PRESETS } from "../../harness/presets.ts";
import { writeModel } from "../../model/file.ts";
import { loadDataset, mostFrequentClass } from "../dataset.ts";
import { directoryStore } from "../directoryStore.ts";
import { integerOption, tell, UsageError, writeOutput } from "../io.ts";
import { startMeter } from "../progress.ts";
import { type AttackOptions, addAttackOptions, checkAttack, patchOf } from "../triggerOptions.ts";
import { loadKernelModule, loadTrainModule } from "../wasm.ts";

interface Options extends AttackOptions {
  dataset: string;
  data?: string;
  share: string;
  architecture: string;
  width: number;
  epochs: number;
  seed: number;
  work: string;
  output: string;
}

const { quick } = PRESETS;

export function add(program: Command): void {
  const command = program
    .command("train")
    .description("a clean or backdoored float model")
    .requiredOption("--dataset <name>", "signs, gtsrb or cifar10")
    .option("--data <directory>", "where the images are; signs needs none");
  addAttackOptions(command, "plant a backdoor")
    .option(
      "--share <share>",
      "poisoned share of the images that bear the target label",
      String(quick.poisonShare),
    )
    .option("--architecture <name>", "resnet8 or cnn", quick.architecture)
    .option("--width <channels>", "of the first stage", integerOption("--width", 4, 128), 16)
    .option(
      "--epochs <number>",
      "passes over the training set",
      integerOption("--epochs", 1, 1000),
      quick.training.epochs,
    )
    .option(
      "--seed <number>",
      "of weights, order, augmentation and poison",
      integerOption("--seed", 0, 1_000_000),
      1,
    )
    .option("--work <directory>", "checkpoints; a run that was stopped goes on from here", ".blindspot")
    .requiredOption("-o, --output <file>", "the model")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { row, dataset } = await loadDataset(options.dataset, options.data);
  const spec = specOf(options, options.target ?? mostFrequentClass(dataset), row.flip);
  badnet.prepare({ target: spec.attack.target }, dataset.train, dataset.classNames.length);
  const [kernels, trainModule] = await Promise.all([loadKernelModule(), loadTrainModule()]);
  const backend = await startBackend(trainModule);
  const preset: Preset = quick;
  const lab = {
    kernels,
    backend,
    store: directoryStore(options.work),
    dataset,
    preset,
    profiles: [],
    engine: "",
  };
  const meter = startMeter(process.stderr);
  meter.expect(1);
  const task = meter.begin(`train ${spec.id}`, 1);
  const model = await trainedModel(lab, spec, (done, total) => task.advance(done / total)).finally(() => {
    task.end();
    meter.stop();
  });
  await writeOutput(options.output, writeModel(model));
  tell(`wrote ${options.output}`);
}

function specOf(options: Options, target: number, flip: boolean): ModelSpec {
  checkAttack(options);
  if (options.architecture !== "resnet8" && options.architecture !== "cnn")
    throw new UsageError(`--architecture: expected resnet8 or cnn, got ${options.architecture}`);
  const poisonShare = Number(options.share);
  if (!(poisonShare > 0 && poisonShare < 1))
    throw new UsageError(`--share: expected a share between 0 and 1, got ${options.share}`);
  const kind = options.attack === undefined ? "clean" : "backdoored";
  return {
    id: `${kind}-${options.seed}`,
    kind,
    twin: `${kind === "clean" ? "backdoored" : "clean"}-${options.seed}`,
    architecture: options.architecture,
    width: options.width,
    seed: options.seed,
    training: {
      ...quick.training,
      epochs: options.epochs,
      seed: options.seed,
      augmentation: { crop: quick.crop, flip },
    },
    attack: {
      target,
      poisonShare,
      ...patchOf(options),
    },
  };
}
