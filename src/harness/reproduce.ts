import { poisonRateForTargetShare } from "../attacks/badnet.ts";
import type { Dataset } from "../data/dataset.ts";
import { DEFENSES } from "../defenses/index.ts";
import { decompose, falsePositives, type RawCell, withThresholds } from "./decompose.ts";
import { type ModelSpec, modelPair, PRECISIONS, VALIDITY } from "./experiment.ts";
import type { Lab } from "./lab.ts";
import { PAPER_PRECISIONS } from "./paper.ts";
import type { Deployment, ModelRecord, Result } from "./result.ts";
import { accessOf, type Step, type StepResults } from "./steps.ts";

/** Does all of these steps, in any order and on any number of threads, and gives their results in the order given. */
export type Execute = <S extends Step>(steps: readonly S[]) => Promise<StepResults[S["kind"]][]>;

export interface ReproduceOptions {
  seed: number;
  /** The class that the attack aims at. */
  target: number;
  /** Whether mirrored images keep their class. */
  flip: boolean;
  /** What the Result says of where it came from. */
  provenance: Pick<Result, "command" | "preset" | "versions" | "options" | "inputs">;
}

/** A pair that was trained and measured at FP32. */
interface Pair {
  specs: [ModelSpec, ModelSpec];
  records: [ModelRecord, ModelRecord];
}

/** The experiment: train pairs, keep the valid ones, deploy them, run the defenses in the four arms, say why what is lost
 * is lost. The same lab and options give the same Result, whatever `execute` does in which order. */
export async function reproduce(
  lab: Omit<Lab, "backend">,
  options: ReproduceOptions,
  execute: Execute,
): Promise<Result> {
  const pairs = await trainPairs(lab, options, execute);
  const accepted = pairs.filter(({ records }) => records[0].accepted);
  const specs = accepted.flatMap((pair) => pair.specs);
  const records = pairs.flatMap((pair) => pair.records);
  await deployAll(lab, specs, records, execute);
  const papered = accepted
    .slice(0, lab.preset.paperModels)
    .flatMap(({ specs: [model] }) =>
      PAPER_PRECISIONS.map(({ id }) => ({ kind: "paper" as const, model, precision: id })),
    );
  const [raw, paper] = await Promise.all([runCells(lab, specs, execute), execute(papered)]);
  const profiles = lab.profiles.map(({ id, title, family, access, arithmetic }) => ({
    id,
    title,
    family,
    access: access.level,
    accessWhy: access.why,
    arithmetic: arithmetic.ops.default.requantizer,
  }));
  const cells = withThresholds(raw, records);
  const { dataset } = lab;
  const { height, width, channels } = dataset.train;
  return {
    format: "blindspot-result/2",
    ...options.provenance,
    seed: options.seed,
    dataset: {
      name: dataset.name,
      classNames: dataset.classNames,
      height,
      width,
      channels,
      train: dataset.train.count,
      held: dataset.held.count,
      test: dataset.test.count,
      caveat: dataset.caveat,
    },
    profiles,
    models: records,
    cells,
    falsePositives: falsePositives(cells, records),
    decomposition: decompose(cells, records, profiles, PRECISIONS),
    paper: paper.flat(),
  };
}

/** Trains rounds of pairs until enough are valid or the attempts are used up. */
async function trainPairs(
  { preset, dataset }: Pick<Lab, "preset" | "dataset">,
  options: ReproduceOptions,
  execute: Execute,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  const missing = () => preset.pairs - pairs.filter(({ records }) => records[0].accepted).length;
  while (missing() > 0 && pairs.length < preset.attempts) {
    const round = Math.min(missing(), preset.attempts - pairs.length);
    const specs = Array.from({ length: round }, (_, i) =>
      modelPair(preset, options.seed, pairs.length + i + 1, options.target, options.flip),
    );
    await execute(specs.flat().map((model) => ({ kind: "train", model })));
    const measured = await execute(
      specs
        .flat()
        .map((model) => ({ kind: "deploy" as const, model, precision: "fp32" as const, profile: null })),
    );
    specs.forEach((pair, i) => {
      pairs.push(judged(pair, measured[2 * i], measured[2 * i + 1], dataset));
    });
  }
  return pairs;
}

const percent = (value: number) => `${(100 * value).toFixed(1)} %`;

function judged(specs: Pair["specs"], backdoored: Deployment, clean: Deployment, dataset: Dataset): Pair {
  const [asr, ca, twin] = [backdoored.attackSuccess.value, backdoored.accuracy.value, clean.accuracy.value];
  const rejection =
    asr <= VALIDITY.attackSuccess
      ? `attack success ${percent(asr)} is not above ${percent(VALIDITY.attackSuccess)}`
      : ca < twin - VALIDITY.accuracyDrop
        ? `clean accuracy ${percent(ca)} is more than ${percent(VALIDITY.accuracyDrop)} below its twin's ${percent(twin)}`
        : "";
  const record = (spec: ModelSpec, deployed: Deployment): ModelRecord => ({
    id: spec.id,
    kind: spec.kind,
    twin: spec.twin,
    architecture: `${spec.architecture}, width ${spec.width}, ${dataset.classNames.length} classes, ${spec.training.epochs} epochs`,
    seed: spec.seed,
    attack: {
      name: "badnet",
      target: spec.attack.target,
      triggerSize: spec.attack.size,
      triggerPosition: spec.attack.position,
      triggerColor: spec.attack.colour,
      poisonRate: poisonRateForTargetShare(dataset.train, spec.attack.target, spec.attack.poisonShare),
    },
    accepted: rejection === "",
    rejection:
      rejection === "" || spec.kind === "backdoored" ? rejection : `its twin was rejected: ${rejection}`,
    deployments: [deployed],
  });
  return { specs, records: [record(specs[0], backdoored), record(specs[1], clean)] };
}

async function deployAll(
  { profiles }: Pick<Lab, "profiles">,
  specs: ModelSpec[],
  records: ModelRecord[],
  execute: Execute,
): Promise<void> {
  const steps = specs.flatMap((model) =>
    PRECISIONS.flatMap((precision) =>
      profiles.map(({ id }) => ({ kind: "deploy" as const, model, precision, profile: id })),
    ),
  );
  const deployed = await execute(steps);
  steps.forEach(({ model }, i) => {
    records.find(({ id }) => id === model.id)!.deployments.push(deployed[i]);
  });
}

async function runCells(
  lab: Pick<Lab, "profiles">,
  specs: ModelSpec[],
  execute: Execute,
): Promise<RawCell[]> {
  const places = [
    { arm: "FF" as const, precision: "fp32" as const, profile: null },
    ...lab.profiles.flatMap(({ id: profile }) => [
      { arm: "FR" as const, precision: "fp32" as const, profile },
      ...PRECISIONS.flatMap((precision) => [
        { arm: "QF" as const, precision, profile },
        { arm: "QR" as const, precision, profile },
      ]),
    ]),
  ];
  const steps = specs.flatMap((model) =>
    places.map((place) => ({ kind: "cells" as const, model, ...place })),
  );
  const outcomes = await execute(steps);
  return steps.flatMap(({ model, arm, precision, profile }, i) =>
    DEFENSES.map(({ id: defense, scoreName }, d) => {
      const { verdict, reason, score, flagged, measures, figures, passes } = outcomes[i][d];
      const place = {
        model: model.id,
        defense,
        precision,
        profile,
        access: accessOf(lab, arm, profile),
        arm,
      };
      return { ...place, verdict, reason, scoreName, score, flagged, measures, figures, passes };
    }),
  );
}
