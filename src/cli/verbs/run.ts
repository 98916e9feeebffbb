import { join } from "node:path";
import type { Command } from "commander";
import { formatNpy, type NpyArray } from "../../data/npy.ts";
import { bindKernels } from "../../kernels/module.ts";
import { activationArray, compile, type Plan, type Values } from "../../model/compile.ts";
import { elements, type Graph, type Tensor } from "../../model/graph.ts";
import { readInputs } from "../inputs.ts";
import { print, tell, writeOutput } from "../io.ts";
import { readAnyModel } from "../models.ts";
import { findProfile } from "../profiles.ts";
import { loadKernelModule } from "../wasm.ts";

interface Options {
  profile: string;
  input: string[];
  output?: string;
  dump?: string;
  json?: boolean;
}

export function add(program: Command): void {
  program
    .command("run")
    .description("one model, bit for bit as a profile computes it")
    .argument("<model>", "a quantized model: .blindspot, .tflite or .onnx")
    .requiredOption("--profile <profile>", "a device, by id or file")
    .requiredOption("--input <npy...>", "one .npy a model input, in its own type, first dimension the images")
    .option("--output <npy>", "the first output, in its own type")
    .option("--dump <directory>", "every tensor, one .npy each")
    .option("--json", "the outputs on stdout")
    .action(run);
}

async function run(path: string, options: Options): Promise<void> {
  const profile = await findProfile(options.profile);
  const graph = await readAnyModel(path);
  const kernels = await bindKernels(await loadKernelModule());
  const plan = compile(graph, profile, kernels, options.dump ? { keep: "all" } : {});
  const { values, count } = await readInputs(graph, options.input);
  const kept = options.dump ? collector(graph, plan, count) : undefined;
  const outputs = plan.run(values, count, kept?.visit);
  if (options.dump) await dump(graph, kept!.tensors, count, options.dump);
  if (options.output)
    await writeOutput(options.output, formatNpy(arrayOf(graph.tensors[graph.outputs[0]], outputs[0], count)));
  const shown = graph.outputs.map((id, i) => arrayOf(graph.tensors[id], outputs[i], count));
  if (options.json)
    print(
      JSON.stringify(
        shown.map(({ shape, data }, i) => ({
          name: graph.tensors[graph.outputs[i]].name,
          shape,
          data: [...data],
        })),
      ),
    );
  else shown.forEach((array, i) => print(describe(graph.tensors[graph.outputs[i]], array)));
  if (options.output) tell(`wrote ${options.output}`);
}

const arrayOf = ({ shape }: Tensor, data: Values, count: number): NpyArray => ({
  shape: [count, ...shape.slice(1)],
  data,
});

/** Gathers every activation, chunk by chunk. */
function collector(graph: Graph, plan: Plan, count: number) {
  const ids = [...graph.inputs, ...graph.nodes.map(({ outputs }) => outputs[0])];
  const tensors = new Map(
    ids.map((id) => {
      const { shape, dtype } = graph.tensors[id];
      const length = elements(shape.slice(1)) * count;
      return [id, activationArray(dtype, length)] as [number, Values];
    }),
  );
  const visit = (first: number, here: number) => {
    for (const [id, values] of tensors) values.set(plan.view(id, here), first * (values.length / count));
  };
  return { tensors, visit };
}

async function dump(
  graph: Graph,
  tensors: Map<number, Values>,
  count: number,
  directory: string,
): Promise<void> {
  for (const [id, values] of tensors) {
    const name = `${String(id).padStart(3, "0")}-${graph.tensors[id].name.replaceAll(/[^A-Za-z0-9._-]+/g, "_").slice(0, 80)}.npy`;
    await writeOutput(join(directory, name), formatNpy(arrayOf(graph.tensors[id], values, count)));
  }
  tell(`wrote ${tensors.size} tensors to ${directory}`);
}

const SHOWN = 12;

function describe({ name, quantization }: Tensor, { shape, data }: NpyArray): string {
  const size = data.length / shape[0];
  const rows = Array.from({ length: Math.min(shape[0], SHOWN) }, (_, i) => {
    const image = Array.from(data.subarray(i * size, (i + 1) * size));
    const top = image.indexOf(Math.max(...image));
    return `  ${i}: ${image.slice(0, SHOWN).join(" ")}${size > SHOWN ? " …" : ""}  (largest: ${top})`;
  });
  const scale = quantization
    ? `, scale ${quantization.scale[0]}, zero point ${quantization.zeroPoint[0]}`
    : "";
  const more = shape[0] > SHOWN ? [`  and ${shape[0] - SHOWN} more`] : [];
  return [`${name} (${shape.join(", ")})${scale}`, ...rows, ...more].join("\n");
}
