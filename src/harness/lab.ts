import type { PoisonedSet, PreparedAttack } from "../attacks/attack.ts";
import { badnet, poisonRateForTargetShare, stampedTest } from "../attacks/badnet.ts";
import { type Dataset, type ImageSet, select } from "../data/dataset.ts";
import { limited } from "../data/split.ts";
import type { Material, Truth } from "../defenses/defense.ts";
import { wilson } from "../defenses/statistics.ts";
import type { FloatBackend } from "../float/backend.ts";
import { readModel, type SavedModel, writeModel } from "../model/file.ts";
import type { Profile } from "../profile/schema.ts";
import { seededRandom } from "../random.ts";
import type { ModelSpec, Preset } from "./experiment.ts";
import type { Share } from "./result.ts";
import { canonicalJson, digest, type Store } from "./store.ts";

/** Everything that a step may use. The platform gives modules, backend and store; the rest is data. */
export interface Lab {
  kernels: WebAssembly.Module;
  backend: FloatBackend;
  store: Store;
  dataset: Dataset;
  preset: Preset;
  profiles: Profile[];
  /** sha256 of everything outside the spec that decides a step's result: kernels, training kernels, our version. */
  engine: string;
}

/** Reports how far a step is: done of total, in units of its own. */
export type Progress = (done: number, total: number) => void;

/** The name under which a step's result is kept: what it is and the digest of all that decides it. */
export async function stepName(kind: string, suffix: string, inputs: unknown): Promise<string> {
  return `${kind}-${(await digest(canonicalJson(inputs))).slice(0, 20)}.${suffix}`;
}

/** What is kept under `name`, or what `make` gives, kept from now on. */
export async function remembered(
  store: Store,
  name: string,
  make: () => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const known = await store.get(name);
  if (known) return known;
  const bytes = await make();
  await store.put(name, bytes);
  return bytes;
}

export async function rememberedJson<T>(store: Store, name: string, make: () => Promise<T>): Promise<T> {
  const bytes = await remembered(store, name, async () =>
    new TextEncoder().encode(JSON.stringify(await make())),
  );
  return JSON.parse(new TextDecoder().decode(bytes)) as T;
}

export async function rememberedModel(
  store: Store,
  name: string,
  make: () => Promise<SavedModel>,
): Promise<SavedModel> {
  return readModel(await remembered(store, name, async () => writeModel(await make())), name);
}

/** The attack of a model; a clean model has its twin's. */
export function attackOf(dataset: Dataset, { attack }: ModelSpec): PreparedAttack {
  const { target, poisonShare, ...trigger } = attack;
  const poisonRate = poisonRateForTargetShare(dataset.train, target, poisonShare);
  return badnet.prepare({ target, poisonRate, ...trigger }, dataset.train, dataset.classNames.length);
}

/** The training set as delivered: poisoned for a backdoored model. */
export function trainingSet(dataset: Dataset, spec: ModelSpec, attack: PreparedAttack): PoisonedSet {
  if (spec.kind === "clean") return { ...dataset.train, poisoned: new Uint8Array(dataset.train.count) };
  return attack.poison(dataset.train, seededRandom(spec.seed).fork("poison"));
}

/** The first `count` images; all if there are fewer. */
export function firstImages(set: ImageSet, count: number): ImageSet {
  return select(
    set,
    Array.from({ length: Math.min(count, set.count) }, (_, i) => i),
  );
}

/** `count` images of the held-out set, every class present, in shuffled order. use: names the draw. */
export function heldImages({ dataset }: Pick<Lab, "dataset">, count: number, use: string): ImageSet {
  const source = { set: dataset.held, classNames: dataset.classNames, path: `${dataset.name} (held)` };
  return limited(source, Math.max(count, dataset.classNames.length), seededRandom(1).fork(use));
}

/** The material that was made last of a data set: the steps on one model follow each other. */
const lastMaterial = new WeakMap<Dataset, { key: string; material: ReturnType<typeof makeMaterial> }>();

/** What defender and auditor hold for one model. */
export function materialOf(lab: Lab, spec: ModelSpec): Material & { truth: Truth } {
  const key = canonicalJson([spec, lab.preset]);
  const last = lastMaterial.get(lab.dataset);
  if (last?.key === key) return last.material;
  const material = makeMaterial(lab, spec);
  lastMaterial.set(lab.dataset, { key, material });
  return material;
}

function makeMaterial(lab: Lab, spec: ModelSpec): Material & { truth: Truth } {
  const { dataset, preset } = lab;
  const attack = attackOf(dataset, spec);
  const test = firstImages(dataset.test, preset.testImages);
  return {
    clean: heldImages(lab, preset.cleanImages, "defender"),
    training: trainingSet(dataset, spec, attack),
    test,
    triggered: stampedTest(attack, test),
    truth: { backdoored: spec.kind === "backdoored", target: attack.target, trigger: attack.trigger },
  };
}

/** A share with its Wilson interval, rounded to what a report shows. */
export function share(successes: number, n: number): Share {
  const { low, high } = wilson(successes, n);
  const round = (value: number) => Math.round(value * 1e6) / 1e6;
  return { value: round(successes / n), n, low: round(low), high: round(high) };
}
