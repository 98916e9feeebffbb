import type { Figure, Outcome } from "../../defenses/defense.ts";
import { DEFENSES, defenseOf } from "../../defenses/index.ts";
import { DataError } from "../../errors.ts";
import { classifierOf } from "../../model/classifier.ts";
import { firstImages, share } from "../lab.ts";
import type { Arm, Share } from "../result.ts";
import type { AuditInputs, AuditModel } from "./inputs.ts";
import { lossesOf } from "./losses.ts";
import { floatTwin, isFloat } from "./models.ts";
import type { AuditCell, AuditDevice, AuditEvidence, Deployed, Suspect } from "./result.ts";
import { type Answers, type AuditExecute, accessAt, type Place } from "./steps.ts";
import { suspectOf } from "./suspect.ts";

/** What the Result says of where it came from. */
export type AuditProvenance = Pick<
  AuditEvidence,
  "command" | "preset" | "versions" | "options" | "inputs"
> & {
  file: string;
};

const PER_MODEL = DEFENSES.filter(({ needs }) => !needs.includes("triggered")).map(({ id }) => id);
const PER_TRIGGER = DEFENSES.filter(({ needs }) => needs.includes("triggered")).map(({ id }) => id);

/**
 * Measures a model as it will ship: what it gives on each device, and what each defense says of it in each arm. The same inputs
 * give the same evidence, whatever `execute` does in which order. No policy decides any of it: see gate.ts.
 * @throws DataError, ModelFormatError, RangeError where models and images do not fit each other.
 */
export async function audit(
  inputs: AuditInputs,
  provenance: AuditProvenance,
  execute: AuditExecute,
): Promise<AuditEvidence> {
  checkInputs(inputs);
  const { file, ...told } = provenance;
  const twin = floatTwin(inputs);
  const float = twin ? (await execute([{ kind: "deploy", place: { arm: "FF", profile: null } }]))[0] : null;
  const answers = await execute(
    inputs.profiles.map(({ id }) => ({
      kind: "deploy" as const,
      place: { arm: "QF" as const, profile: id },
    })),
  );
  const devices = devicesOf(inputs, float, answers);
  const places = placesOf(float, devices);
  const { suspect, cells } = await defendAll(inputs, places, execute);
  const { model, images } = inputs;
  const { convention, rule, classes, height, width, channels } = classifierOf(
    model.graph,
    model.name,
    inputs.taken ?? undefined,
  );
  return {
    format: "blindspot-audit/1",
    ...told,
    seed: inputs.seed,
    model: {
      name: model.name,
      file,
      float: twin && twin !== model ? twin.name : null,
      kind: isFloat(model.graph) ? "float" : "integer",
      classes,
      input: `pixels 0..255 stand for ${convention}: ${rule}`,
    },
    dataset: {
      ...{ name: images.name, classNames: images.classNames, height, width, channels, caveat: images.caveat },
      clean: Math.min(images.clean.count, inputs.preset.cleanImages),
      test: Math.min(images.test.count, inputs.preset.testImages),
      training: images.training?.count ?? null,
    },
    float:
      float &&
      (float.top
        ? { deployed: deployedOf(inputs, float, null, null) }
        : { refused: float.refused.join("; ") }),
    devices,
    suspect,
    cells,
    losses: lossesOf(cells, devices, suspect),
  };
}

function checkInputs({ model, float, images, taken }: AuditInputs): void {
  for (const each of [model, float]) if (each) checkModel(each, images, taken);
  if (float && !isFloat(float.graph))
    throw new DataError(float.name, "a float model", "one that holds integers");
  if (float && isFloat(model.graph))
    throw new DataError(model.name, "an integer model where a float twin is given", "a float model");
}

function checkModel(
  { graph, name }: AuditModel,
  { name: set, classNames, test }: AuditInputs["images"],
  taken: AuditInputs["taken"],
): void {
  const { classes, height, width, channels } = classifierOf(graph, name, taken ?? undefined);
  const [expected, got] = [
    [height, width, channels],
    [test.height, test.width, test.channels],
  ].map((size) => size.join("x"));
  if (expected !== got) throw new DataError(set, `images of ${expected} as ${name} takes`, got);
  if (classes !== classNames.length)
    throw new DataError(set, `${classes} classes, as ${name} has outputs`, `${classNames.length}`);
}

function deployedOf(
  { images, preset }: AuditInputs,
  answers: Answers,
  float: Answers | null,
  first: Answers | null,
): Deployed {
  const { labels, count } = firstImages(images.test, preset.testImages);
  const top = answers.top!;
  const right = top.filter((label, i) => label === labels[i]).length;
  const flips = (other: Answers | null): Share | null =>
    other?.top ? share(top.filter((label, i) => label !== other.top![i]).length, count) : null;
  const { precision, scheme, sha256 } = answers;
  return {
    ...{ precision, scheme, sha256 },
    accuracy: share(right, count),
    flipsFromFloat: flips(float),
    flipsFromFirst: first === answers ? null : flips(first),
  };
}

function devicesOf(inputs: AuditInputs, float: Answers | null, answers: readonly Answers[]): AuditDevice[] {
  const first = answers.find(({ top }) => top) ?? null;
  return inputs.profiles.map(({ id, family, access }, i) => {
    const { target, refused, top } = answers[i];
    return {
      ...target!,
      profile: id,
      refused,
      family,
      access: access.level,
      accessWhy: access.why,
      deployed: top ? deployedOf(inputs, answers[i], float, first) : null,
    };
  });
}

/** In the order in which an accusation is looked for. */
function placesOf(float: Answers | null, devices: readonly AuditDevice[]): Place[] {
  const ran = devices.filter(({ deployed }) => deployed);
  const at = (arm: Arm) => ran.map(({ profile }) => ({ arm, profile }));
  const floats = float?.top ? [{ arm: "FF" as const, profile: null }] : [];
  return [...floats, ...at("QF"), ...(float?.top ? at("FR") : []), ...at("QR")];
}

async function defendAll(
  inputs: AuditInputs,
  places: readonly Place[],
  execute: AuditExecute,
): Promise<{ suspect: Suspect | null; cells: AuditCell[] }> {
  const run = async (defenses: readonly string[], suspect: Suspect | null) => {
    const steps = defenses.flatMap((id) =>
      places.map((place) => ({ kind: "defend" as const, place, defenses: [id], suspect })),
    );
    const outcomes = await execute(steps);
    return steps.map(({ place, defenses: [id] }, i) => ({ place, id, outcome: outcomes[i][0] }));
  };
  const models = await run(PER_MODEL, null);
  const accused = models.map(({ id, place, outcome }) =>
    id === "neuralCleanse" ? suspectOf(place, outcome) : null,
  );
  const suspect = accused.find((each) => each !== null) ?? null;
  const triggers = await run(PER_TRIGGER, suspect);
  const all = [...models, ...triggers];
  const cells = DEFENSES.flatMap(({ id }) =>
    all.filter((each) => each.id === id).map(({ place, outcome }) => cellOf(inputs, id, place, outcome)),
  );
  return { suspect, cells };
}

function cellOf(inputs: AuditInputs, id: string, place: Place, outcome: Outcome): AuditCell {
  const { scoreName, threshold, thresholdSource, needs } = defenseOf(id);
  const { verdict, reason, score, flagged, measures, perClass, passes } = outcome;
  const figures = needs.includes("training") ? outcome.figures.map(unnamed) : outcome.figures;
  return {
    ...{ defense: id, ...place, access: accessAt(inputs, place), verdict, reason, scoreName, score },
    published: { value: threshold, source: thresholdSource },
    ...{ flagged, measures, figures, perClass: perClass ?? null, passes },
  };
}

/** Nobody knows which training images are clean. */
function unnamed(figure: Figure): Figure {
  if (figure.kind !== "histogram" && figure.kind !== "scatter") return figure;
  const rename = <T extends { name: string }>(series: T[]) =>
    series.map((each) => ({ ...each, name: "training images" }));
  return figure.kind === "histogram"
    ? { ...figure, series: rename(figure.series) }
    : { ...figure, series: rename(figure.series) };
}
