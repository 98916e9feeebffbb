/** What every runtime must compute to the same bytes: each case gives a sha256. Nothing here knows a runtime. */
import type { ImageSet } from "../../src/data/dataset.ts";
import { slice } from "../../src/defenses/images.ts";
import { DEFENSES } from "../../src/defenses/index.ts";
import { UnsupportedOpError } from "../../src/errors.ts";
import { askedLevel, askedSubject } from "../../src/harness/askedSubject.ts";
import { canonicalJson, digest } from "../../src/harness/store.ts";
import { importModel } from "../../src/import/index.ts";
import type { Op } from "../../src/kernels/args.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { OPS } from "../../src/kernels/ops.ts";
import { WIDE_OPS } from "../../src/kernels/wide/ops.ts";
import { compile } from "../../src/model/compile.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import { CASES, type Case } from "../kernels/cases.ts";
import { WIDE_CASES } from "../kernels/wideCases.ts";

/** What a runtime is given. */
export interface Given {
  kernels: WebAssembly.Module;
  profiles: readonly Profile[];
  /** A quantized ResNet-8, as .tflite. */
  model: Uint8Array;
  clean: ImageSet;
  triggered: ImageSet;
}

/** By the name of a case: a sha256, or why a profile does not run the model. */
export type Digests = Record<string, string>;

const CASES_PER_OP = 25;
const IMAGES = 8;
/** Firmware that shows a softmax alone; the defenses there are STRIP and the gradient-free Neural Cleanse. */
const DEFENDED = "stm32l4r5-cmsis-nn";
const ASKING = ["strip", "neuralCleanse"];

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The output's bytes of the kernel, and of its reference in plain TypeScript. */
function outputsOf<Args>(
  kernels: Kernels,
  op: Op<Args>,
  { args, operands, batches }: Case<Args>,
): Uint8Array[] {
  const mark = kernels.mark();
  const step = op.prepare(kernels, args);
  const inputs = operands.map((values) => kernels.place(values));
  const output = kernels.allocate(step.outputBytes * batches);
  const scratch = kernels.allocate(step.scratchBytes);
  const [input, input2] = inputs;
  const second = inputs.length > 1 ? { input2 } : {};
  step.bind({ input, ...second, output, scratch, inputs, outputs: [output] });
  step.run(batches);
  const actual = new Uint8Array(kernels.memory.buffer, output, step.outputBytes * batches).slice();
  kernels.release(mark);
  return [actual, bytesOf(op.reference(args, operands, batches))];
}

async function kernelDigests({ kernels: module }: Given): Promise<Digests> {
  const kernels = await bindKernels(module);
  const tables = [
    { label: "int8", ops: OPS, cases: CASES },
    { label: "int16", ops: WIDE_OPS, cases: WIDE_CASES },
  ] as {
    label: string;
    ops: Record<string, Op<unknown>>;
    cases: Record<string, (random: Random) => Case<unknown>>;
  }[];
  const digests: Digests = {};
  for (const { label, ops, cases } of tables)
    for (const name of Object.keys(ops)) {
      const random = seededRandom(2026).fork(`${label} ${name}`);
      const drawn = Array.from({ length: CASES_PER_OP }, () => cases[name](random));
      const outputs = drawn.flatMap((drawnCase) => outputsOf(kernels, ops[name], drawnCase));
      digests[`${name} on ${label}`] = await digest(joined(outputs));
    }
  return digests;
}

/** Every activation of the model, under every profile. */
async function modelDigests({ kernels: module, profiles, model, clean }: Given): Promise<Digests> {
  const graph = importModel(model, "model.tflite");
  const { pixels } = slice(clean, 0, IMAGES);
  const codes = Int8Array.from(pixels, (pixel) => pixel - 128);
  const kernels = await bindKernels(module);
  const digests: Digests = {};
  for (const profile of profiles) {
    const mark = kernels.mark();
    const seen: Uint8Array[] = [];
    try {
      const plan = compile(graph, profile, kernels, { keep: "all" });
      plan.run([codes], IMAGES, (_, here) => {
        for (const { outputs } of graph.nodes) seen.push(bytesOf(plan.view(outputs[0], here)).slice());
      });
      digests[`ResNet-8 on ${profile.id}`] = await digest(joined(seen));
    } catch (error) {
      if (!(error instanceof UnsupportedOpError)) throw error;
      digests[`ResNet-8 on ${profile.id}`] = error.message;
    }
    kernels.release(mark);
  }
  return digests;
}

async function defenseDigests({
  kernels: module,
  profiles,
  model,
  clean,
  triggered,
}: Given): Promise<Digests> {
  const profile = profiles.find(({ id }) => id === DEFENDED)!;
  const subject = askedSubject(await bindKernels(module), importModel(model, "model.tflite"), profile);
  const half = clean.count >> 1;
  const none = slice(clean, 0, 0);
  const material = {
    clean: slice(clean, 0, half),
    test: slice(clean, half, clean.count),
    training: { ...none, poisoned: new Uint8Array(0) },
    triggered,
    truth: null,
  };
  const digests: Digests = {};
  for (const { id, presets, run } of DEFENSES.filter(({ id }) => ASKING.includes(id))) {
    const outcome = await run(subject, material, presets.brief, seededRandom(1).fork(id), () => {});
    const result = {
      model: await digest(model),
      profile: profile.id,
      access: askedLevel(profile),
      defense: id,
      outcome,
    };
    digests[`${id} on ${profile.id}: ${outcome.verdict}`] = await digest(canonicalJson(result));
  }
  return digests;
}

export async function allDigests(given: Given): Promise<Digests> {
  return {
    ...(await kernelDigests(given)),
    ...(await modelDigests(given)),
    ...(await defenseDigests(given)),
  };
}

/** Everything but the kernels as JSON, and back. */
export interface Packed {
  profiles: readonly Profile[];
  model: string;
  clean: Omit<ImageSet, "tracks" | "pixels" | "labels"> & { pixels: string; labels: number[] };
  triggered: Packed["clean"];
}

export function unpack({ profiles, model, clean, triggered }: Packed, kernels: WebAssembly.Module): Given {
  const bytes = (text: string) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const images = ({ pixels, labels, ...rest }: Packed["clean"]): ImageSet => {
    const tracks = Int32Array.from({ length: rest.count }, (_, i) => i);
    return { ...rest, pixels: bytes(pixels), labels: Uint8Array.from(labels), tracks };
  };
  return { kernels, profiles, model: bytes(model), clean: images(clean), triggered: images(triggered) };
}
