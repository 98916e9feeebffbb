import { type ImageSet, select } from "../data/dataset.ts";
import type { Defense, Material, Outcome, Subject } from "../defenses/defense.ts";
import { slice } from "../defenses/images.ts";
import { DEFENSES } from "../defenses/index.ts";
import { DataError } from "../errors.ts";
import { askedLevel, askedSubject } from "../harness/askedSubject.ts";
import { resumable, Suspended } from "../harness/resume.ts";
import { canonicalJson, digest } from "../harness/store.ts";
import type { Profile } from "../profile/schema.ts";
import { permutation, seededRandom } from "../random.ts";
import { failure } from "./answer.ts";
import { readCursor, writeCursor } from "./cursor.ts";
import { workOf } from "./limits.ts";
import { defendRequest, parseForm } from "./requests.ts";
import { findProfile, type Model, readArray, readModelOf, type Site } from "./site.ts";

/** Progress lines that one request gives. */
const PARTS = 8;
/** Of the images that are known to be clean, what a defense fits on; it measures on the others. */
const FITTED = 2 / 3;

interface Task {
  model: Model;
  profile: Profile;
  defense: Defense;
  material: Material;
  options: object;
  seed: number;
  classes: number;
}

type Shape = Pick<Subject, "classes" | "height" | "width" | "channels">;

/** POST /defend: one defense that only asks the model, as lines of JSON: {"progress"} while it runs, then {"result"}, or
 * {"cursor"} with which the same form goes on, or {"error"}. */
export async function defend(site: Site): Promise<Response> {
  const asked = parseForm(site.form, defendRequest);
  const profile = findProfile(site, asked.profile);
  const model = await readModelOf(site, asked.model);
  const shape = await site.engine.run((kernels): Shape => askedSubject(kernels, model.graph, profile));
  const clean = await readImages(site, asked.images, "images", shape);
  const labels = await readLabels(site, asked.labels, clean.count, shape);
  const suspects = asked.suspects && (await readImages(site, asked.suspects, "suspects", shape));
  const defense = DEFENSES.find(({ id }) => id === asked.defense)!;
  const options = defense.presets[asked.preset];
  const material = materialOf({ ...clean, labels }, suspects, asked.seed);
  const task: Task = { model, profile, defense, material, options, seed: asked.seed, classes: shape.classes };
  const identity = await identityOf(task, { clean, labels, suspects });
  const before =
    asked.cursor === undefined
      ? new Float32Array(0)
      : await readCursor(identity, asked.cursor, site.limits.answers);
  return lines((write) => inParts(site, task, { before, identity, write }), site.done);
}

async function readImages(site: Site, file: Blob, field: string, shape: Shape): Promise<ImageSet> {
  const { array } = await readArray(site, file, field);
  const { height, width, channels } = shape;
  const [count, ...image] = array.shape;
  if (!(array.data instanceof Uint8Array) || String(image) !== String([height, width, channels]) || count < 1)
    throw new DataError(
      field,
      `uint8 of shape (images, ${height}, ${width}, ${channels})`,
      `${array.data.constructor.name} of (${array.shape.join(", ")})`,
    );
  const tracks = Int32Array.from({ length: count }, (_, i) => i);
  return { count, height, width, channels, pixels: array.data, labels: new Uint8Array(count), tracks };
}

async function readLabels(site: Site, file: Blob, count: number, { classes }: Shape): Promise<Uint8Array> {
  const { shape, data } = (await readArray(site, file, "labels")).array;
  if (shape.length !== 1 || shape[0] !== count)
    throw new DataError("labels", `shape (${count})`, `(${shape.join(", ")})`);
  const wrong = data.find((label: number) => !(Number.isInteger(label) && label >= 0 && label < classes));
  if (wrong !== undefined) throw new DataError("labels", `classes from 0 to ${classes - 1}`, `${wrong}`);
  return Uint8Array.from(data);
}

/** Nobody knows the truth about a stranger's model, and nobody shows its training set. */
function materialOf(images: ImageSet, suspects: ImageSet | undefined, seed: number): Material {
  const shuffled = select(images, permutation(seededRandom(seed).fork("images"), images.count));
  const fitted = Math.ceil(images.count * FITTED);
  const none = slice(shuffled, 0, 0);
  return {
    clean: slice(shuffled, 0, fitted),
    test: slice(shuffled, fitted, images.count),
    training: { ...none, poisoned: new Uint8Array(0) },
    triggered: suspects ?? none,
    truth: null,
  };
}

async function identityOf(
  { model, profile, defense, options, seed }: Task,
  given: { clean: ImageSet; labels: Uint8Array; suspects?: ImageSet },
): Promise<string> {
  const { clean, labels, suspects } = given;
  const images = await Promise.all([clean.pixels, labels, suspects?.pixels ?? ""].map(digest));
  const own = { model: model.sha256, profile, defense: defense.id, options, seed, images };
  return digest(canonicalJson(own));
}

type Write = (line: object) => Promise<void>;

async function inParts(
  { engine, limits }: Site,
  task: Task,
  { before, identity, write }: { before: Float32Array; identity: string; write: Write },
): Promise<void> {
  const { model, profile, defense, material, options, seed } = task;
  const images = Math.max(PARTS, Math.floor(limits.work / workOf(model.graph)));
  const most = Math.floor(limits.answers / task.classes);
  let answers = before;
  for (let part = 1; part <= PARTS; part++) {
    const allowed = Math.floor((images * part) / PARTS) - Math.floor((images * (part - 1)) / PARTS);
    const outcome = await engine.run(async (kernels): Promise<Outcome | undefined> => {
      const observed = askedSubject(kernels, model.graph, profile);
      const { subject, begin, answers: given } = resumable(observed, answers, most);
      begin(allowed);
      try {
        return await defense.run(subject, material, options, seededRandom(seed).fork(defense.id), () => {});
      } catch (error) {
        if (!(error instanceof Suspended)) throw error;
        answers = given().slice();
        return undefined;
      }
    });
    if (outcome) return write({ result: resultOf(task, outcome) });
    await write({ progress: { answered: answers.length / task.classes } });
  }
  return write({ cursor: await writeCursor(identity, answers) });
}

function resultOf({ model, profile, defense, material, options, seed }: Task, outcome: Outcome) {
  const { name, sha256 } = model;
  return {
    format: "blindspot-outcome/1",
    model: { name, sha256 },
    profile: profile.id,
    access: askedLevel(profile),
    defense: defense.id,
    options,
    seed,
    images: {
      fitted: material.clean.count,
      measured: material.test.count,
      suspects: material.triggered.count,
    },
    outcome,
  };
}

/** A response of lines that are sent as they come. */
function lines(work: (write: Write) => Promise<void>, done: () => void): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const write: Write = (line) => writer.write(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
  work(write)
    .catch((error) => write({ error: failure(error).message }))
    .then(() => writer.close())
    // The client went away.
    .catch(() => {})
    .finally(done);
  return new Response(readable, {
    headers: { "content-type": "application/x-ndjson; charset=utf-8", "cache-control": "no-store" },
  });
}
