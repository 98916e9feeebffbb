import { ModelFormatError, UnsupportedOpError } from "../errors.ts";
import type { Step } from "../kernels/args.ts";
import type { Kernels } from "../kernels/module.ts";
import type { Profile } from "../profile/schema.ts";
import { type Lifetime, planArena } from "./arena.ts";
import { refuseFamily } from "./families.ts";
import { fuseResiduals } from "./float/residual.ts";
import { joinedRefusals } from "./float/x86.ts";
import { type DType, elements, type Graph, type Node, type Tensor } from "./graph.ts";
import { siteOf } from "./lower.ts";
import { outputShape } from "./shapes.ts";

export type Values = Int8Array | Uint8Array | Int16Array | Int32Array | Float32Array;

/** A Graph bound to one profile's arithmetic and to one kernel memory. Running checks nothing but operand lengths. */
export interface Plan {
  graph: Graph;
  profile: Profile;
  /** Images that go through the kernels together. */
  chunk: number;
  /** Bytes of one image's activations on the device: the arena of a real lifetime plan. */
  arenaBytes: number;
  /**
   * Runs count images and returns every graph output, count images each.
   * inputs: one a graph input, dense, in the tensor's own type. visit: called after each chunk, while kept tensors can
   * be viewed.
   * @throws RangeError when an input has the wrong length.
   */
  run(inputs: readonly Values[], count: number, visit?: (first: number, count: number) => void): Values[];
  /** A view (of uint8 tensors a copy) of a kept tensor for the first `count` images of the chunk just run; valid until the next run. */
  view(tensor: number, count: number): Values;
}

export interface CompileOptions {
  /** Tensors that stay readable after a run; "all" keeps every activation. Outputs always do. */
  keep?: readonly number[] | "all";
  /** Images at a time; by default as many as keep the arena within 512 KiB, at most 32. */
  chunk?: number;
}

const ARENA_TARGET = 512 << 10;
const MAX_CHUNK = 32;
/** Converters concatenate the names of what they fused; the first part tells the node. */
const NAME_SHOWN = 40;

/** The array of each type that an activation may have. */
const ARRAYS = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  float32: Float32Array,
} as const satisfies Partial<Record<DType, unknown>>;

/** Zeros to hold `length` values of an activation. */
export function activationArray(dtype: DType, length: number): Values {
  return new ARRAYS[dtype as keyof typeof ARRAYS](length);
}

/**
 * Checks a model against a profile, packs its constants and plans its memory: the only place that does.
 * @throws UnsupportedOpError naming every node that the profile cannot run; ModelFormatError for shapes that do not fit.
 */
export function compile(
  graph: Graph,
  profile: Profile,
  kernels: Kernels,
  options: CompileOptions = {},
): Plan {
  checkShapes(graph);
  checkInputs(graph, profile);
  const sites = graph.nodes.map((node) => ({ node, ...siteOf(graph, node, kernels, profile) }));
  const refuseJoined = joinedRefusals(graph, profile);
  const refused = sites.flatMap(({ node, row, site }, i) => {
    const reason = row
      ? row.refuse(site) || refuseFamily(node.op, site) || refuseJoined(node)
      : `no integer kernel`;
    return reason === "" ? [] : [`${i} ${node.op} ${node.name.slice(0, NAME_SHOWN)}: ${reason}`];
  });
  if (refused.length > 0) throw new UnsupportedOpError(`${graph.name} on ${profile.id}`, refused);
  const fused = fuseResiduals(graph, profile, options.keep);
  const steps = fused.nodes.map((node) => {
    const { row, site } = siteOf(fused, node, kernels, profile);
    return row!.lower(site);
  });
  return { ...bindPlan(fused, profile, kernels, steps, options), graph };
}

/** The run loop takes inputs by the image: all have as many. */
function checkInputs(graph: Graph, profile: Profile): void {
  const [batches] = graph.tensors[graph.inputs[0]].shape;
  const refused = graph.inputs.flatMap((id, i) => {
    const { name, shape, dtype } = graph.tensors[id];
    const place = `input ${i} ${name.slice(0, NAME_SHOWN)}`;
    if (!(dtype in ARRAYS)) return [`${place}: needs ${Object.keys(ARRAYS).join(", ")}, is ${dtype}`];
    if (shape.length === 0) return [`${place}: needs a dimension of images, is a scalar`];
    return shape[0] === batches ? [] : [`${place}: needs ${batches} images as input 0, has ${shape[0]}`];
  });
  if (refused.length > 0) throw new UnsupportedOpError(`${graph.name} on ${profile.id}`, refused);
}

function checkShapes(graph: Graph): void {
  graph.nodes.forEach((node, i) => {
    const shapes = node.inputs.map((id) => graph.tensors[id]?.shape ?? []);
    const output = graph.tensors[node.outputs[0]];
    const expected = outputShape(node, shapes);
    const place = `${graph.name}: node ${i} ${node.op} ${node.name}`;
    if (
      elements(expected.slice(1)) !== elements(output.shape.slice(1)) ||
      expected.some((size) => !(size > 0))
    )
      throw new ModelFormatError(place, `output shape [${expected}]`, `[${output.shape}]`);
    if (node.op === "RESHAPE" && elements(expected.slice(1)) !== elements(shapes[0].slice(1)))
      throw new ModelFormatError(
        place,
        `${elements(shapes[0].slice(1))} elements an image`,
        `shape [${expected}]`,
      );
  });
}

const imageBytes = ({ shape, dtype }: Tensor) =>
  elements(shape.slice(1)) * ARRAYS[dtype as keyof typeof ARRAYS].BYTES_PER_ELEMENT;

/** A uint8 code to what the kernels have for it, int8 of 128 less, and back. */
const otherSign = (code: number) => code ^ 128;

/** Tensors that share bytes (a RESHAPE's input and output) have one slot. */
interface Slots {
  /** Slot of each activation tensor. */
  of: Map<number, number>;
  lifetimes: Lifetime[];
}

function planSlots(graph: Graph, steps: (Step | null)[], keep: CompileOptions["keep"]): Slots {
  const of = new Map<number, number>();
  const lifetimes: Lifetime[] = [];
  const open = (tensor: number, at: number) => {
    of.set(tensor, lifetimes.length);
    lifetimes.push({ bytes: imageBytes(graph.tensors[tensor]), first: at, last: at });
  };
  for (const id of graph.inputs) open(id, -1);
  graph.nodes.forEach((node: Node, i) => {
    for (const id of node.inputs) {
      const slot = of.get(id);
      if (slot !== undefined) lifetimes[slot].last = i;
    }
    if (steps[i] === null) of.set(node.outputs[0], of.get(node.inputs[0])!);
    else for (const id of node.outputs) open(id, i);
  });
  const kept = keep === "all" ? [...of.keys()] : [...graph.outputs, ...(keep ?? [])];
  for (const id of kept) lifetimes[of.get(id)!].last = graph.nodes.length;
  return { of, lifetimes };
}

function bindPlan(
  graph: Graph,
  profile: Profile,
  kernels: Kernels,
  steps: (Step | null)[],
  options: CompileOptions,
): Plan {
  const { of, lifetimes } = planSlots(graph, steps, options.keep);
  const deviceArena = planArena(planSlots(graph, steps, []).lifetimes).bytes;
  const { offsets, bytes } = planArena(lifetimes);
  const chunk = options.chunk ?? Math.max(1, Math.min(MAX_CHUNK, Math.floor(ARENA_TARGET / bytes)));
  const arena = kernels.allocate(bytes * chunk);
  const scratch = kernels.allocate(Math.max(0, ...steps.map((step) => step?.scratchBytes ?? 0)));
  const address = (tensor: number) => arena + offsets[of.get(tensor)!] * chunk;
  const runnable = graph.nodes.flatMap((node, i) => {
    const step = steps[i];
    if (step === null) return [];
    const input = node.inputs[0];
    // Of a convolution behind its constants.
    const input2 = node.inputs.at(-1)!;
    // A key of a field that the block lacks would write before it.
    const second = step.input2Bytes === undefined ? {} : { input2: address(input2) };
    const place = (id: number) => (of.has(id) ? address(id) : 0);
    const [inputs, outputs] = [node.inputs.map(place), node.outputs.map(place)];
    step.bind({ input: place(input), ...second, output: outputs[0], scratch, inputs, outputs });
    return [step];
  });
  const memory = (tensor: number, count: number): Values => {
    const { shape, dtype } = graph.tensors[tensor];
    const length = elements(shape.slice(1)) * count;
    return new ARRAYS[dtype as keyof typeof ARRAYS](kernels.memory.buffer, address(tensor), length);
  };
  const view = (tensor: number, count: number): Values => {
    const values = memory(tensor, count);
    return values instanceof Uint8Array ? values.map(otherSign) : values;
  };
  const sizes = (ids: number[]) => ids.map((id) => elements(graph.tensors[id].shape.slice(1)));
  const inputSizes = sizes(graph.inputs);
  const outputSizes = sizes(graph.outputs);
  const runChunk = (inputs: readonly Values[], outputs: Values[], start: number, count: number) => {
    graph.inputs.forEach((id, i) => {
      const values = inputs[i].subarray(start * inputSizes[i], (start + count) * inputSizes[i]);
      memory(id, count).set(values instanceof Uint8Array ? values.map(otherSign) : values);
    });
    for (const step of runnable) step.run(count);
    graph.outputs.forEach((id, i) => {
      outputs[i].set(view(id, count), start * outputSizes[i]);
    });
  };
  return {
    graph,
    profile,
    chunk,
    arenaBytes: deviceArena,
    view,
    run: (inputs, count, visit) => {
      inputs.forEach((values, i) => {
        if (values.length !== count * inputSizes[i])
          throw new RangeError(
            `${graph.name}: input ${i}: expected ${count * inputSizes[i]} values for ${count} images, got ${values.length}`,
          );
      });
      const outputs = graph.outputs.map((id, i) =>
        activationArray(graph.tensors[id].dtype, count * outputSizes[i]),
      );
      for (let start = 0; start < count; start += chunk) {
        const here = Math.min(chunk, count - start);
        runChunk(inputs, outputs, start, here);
        visit?.(start, here);
      }
      return outputs;
    },
  };
}
