import { extname } from "node:path";
import type { Command } from "commander";
import { DataError } from "../../errors.ts";
import { EXPORTERS } from "../../export/index.ts";
import { startBackend } from "../../float/backend.ts";
import { calibrate } from "../../float/calibrate.ts";
import { foldBatchNorm } from "../../float/fold.ts";
import { SCHEME_TEXT, SCHEMES } from "../../harness/deploy.ts";
import { heldImages } from "../../harness/lab.ts";
import { readModel, writeModel } from "../../model/file.ts";
import { elements, type Graph } from "../../model/graph.ts";
import { activationsFor, quantizeStatic, type StaticScheme, weightBytes } from "../../quantize/ptq.ts";
import { POWER_OF_TWO_SCHEMES } from "../../quantize/schemes.ts";
import { loadDataset } from "../dataset.ts";
import { integerOption, readInput, tell, UsageError, writeOutput } from "../io.ts";
import { loadTrainModule } from "../wasm.ts";

interface Options {
  dataset: string;
  data?: string;
  scheme: string;
  images: number;
  output: string;
}

const ALL_SCHEMES: Record<string, { text: string; scheme: StaticScheme }> = {
  ...Object.fromEntries(
    Object.entries(SCHEMES).map(([id, scheme]) => [
      id,
      { text: SCHEME_TEXT[id as keyof typeof SCHEMES], scheme },
    ]),
  ),
  ...POWER_OF_TWO_SCHEMES,
};

const OUTPUTS = [".blindspot", ...EXPORTERS.map(({ extension }) => extension)];

export function add(program: Command): void {
  program
    .command("quantize")
    .description("a float model to an integer model")
    .argument("<model>", "a float model, as train writes it")
    .requiredOption("--dataset <name>", "for calibration: signs, gtsrb or cifar10")
    .option("--data <directory>", "where the images are; signs needs none")
    .option(
      "--scheme <name>",
      Object.entries(ALL_SCHEMES)
        .map(([id, { text }]) => `${id}: ${text}`)
        .join("; "),
      "int8",
    )
    .option(
      "--images <number>",
      "for calibration, shuffled, every class present",
      integerOption("--images", 1, 1_000_000),
      512,
    )
    .requiredOption("-o, --output <file>", `the integer model (${OUTPUTS.join(", ")})`)
    .action(run);
}

async function run(path: string, { dataset: name, data, scheme, images, output }: Options): Promise<void> {
  if (!Object.hasOwn(ALL_SCHEMES, scheme))
    throw new UsageError(`--scheme: expected ${Object.keys(ALL_SCHEMES).join(" or ")}, got ${scheme}`);
  if (!OUTPUTS.includes(extname(output)))
    throw new UsageError(`--output ${output}: expected a name ending in ${OUTPUTS.join(" or ")}`);
  const { graph, meta } = readModel(await readInput(path, "a model"), path);
  const { dataset } = await loadDataset(name, data);
  checkFits(graph, path, dataset);
  const backend = await startBackend(await loadTrainModule());
  const folded = foldBatchNorm(graph);
  const ranges = calibrate(backend, folded, heldImages({ dataset }, images, "calibration"));
  const chosen = ALL_SCHEMES[scheme].scheme;
  const quantized = quantizeStatic(folded, activationsFor(folded, ranges, chosen), chosen);
  const exporter = EXPORTERS.find(({ extension }) => extension === extname(output));
  await writeOutput(
    output,
    exporter?.write(quantized) ??
      writeModel({ graph: quantized, meta: { ...meta, precision: scheme, calibrationImages: images } }),
  );
  tell(`wrote ${output}: ${weightBytes(quantized)} bytes of weights (float: ${weightBytes(folded)})`);
}

function checkFits(
  graph: Graph,
  path: string,
  { train, name, classNames }: Awaited<ReturnType<typeof loadDataset>>["dataset"],
): void {
  const input = graph.tensors[graph.inputs[0]];
  if (input.dtype !== "float32") throw new DataError(path, "a float model", `an ${input.dtype} input`);
  const image = [train.height, train.width, train.channels];
  if (String(input.shape.slice(1)) !== String(image))
    throw new DataError(
      path,
      `an input of ${image.join("x")} as ${name} has`,
      input.shape.slice(1).join("x"),
    );
  const classes = elements(graph.tensors[graph.outputs[0]].shape.slice(1));
  if (classes !== classNames.length)
    throw new DataError(path, `${classNames.length} classes as ${name} has`, `${classes}`);
}
