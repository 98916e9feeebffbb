import type { ComparedProfile, Comparison, ProfileRun } from "../harness/compare.ts";
import { bytes, count, percent, plural } from "../report/words.ts";
import { clipped, columns, WIDTH, wrapped } from "./columns.ts";

/** Profiles side by side in one table of layers, so that it stays within 100 columns. */
const PER_BLOCK = 2;
const COLUMN = 26;

/** A comparison for a person, within 100 columns. */
export function compareText(comparison: Comparison): string {
  const { model, images, inputs, trigger, reference, profiles } = comparison;
  const others = profiles.filter(({ profile, run }) => run && profile !== reference);
  return [
    wrapped(clipped(model, WIDTH)),
    wrapped(`${plural(images, "image")}: ${inputs}`),
    ...(trigger ? [wrapped(`ASR (attack success): ${trigger}`)] : []),
    `compared with ${reference}`,
    "",
    summary(comparison),
    "flips: images whose largest output (the first of equals) is another than on the reference",
    ...(profiles.some(({ flash, ram }) => flash.fits === false || ram.fits === false)
      ? ["!: more than the device has"]
      : []),
    ...profiles.filter(({ run }) => !run).flatMap(refusedLines),
    ...blocks(others).flatMap((block) => ["", layerTable(comparison, block)]),
  ].join("\n");
}

function blocks(profiles: readonly ComparedProfile[]): ComparedProfile[][] {
  return Array.from({ length: Math.ceil(profiles.length / PER_BLOCK) }, (_, i) =>
    profiles.slice(i * PER_BLOCK, (i + 1) * PER_BLOCK),
  );
}

function summary(comparison: Comparison): string {
  const asr = comparison.trigger ? ["ASR"] : [];
  const heading = ["profile", "first differs", "flips", "accuracy", ...asr, "flash", "RAM", "ms an image"];
  const right = heading.map((_, column) => column).slice(2, -1);
  return columns([heading, ...comparison.profiles.map((each) => summaryRow(comparison, each))], right);
}

function summaryRow({ layers, reference, trigger }: Comparison, each: ComparedProfile): string[] {
  const { profile, run, flash, ram, latency } = each;
  return [
    clipped(profile, COLUMN),
    !run ? "cannot run" : profile === reference ? "reference" : firstText(run, layers),
    run ? count(run.flips.images) : "-",
    run?.accuracy ? percent(run.accuracy.value, 2) : "-",
    ...(trigger ? [run?.attackSuccess ? percent(run.attackSuccess.value, 2) : "-"] : []),
    fitText(flash),
    fitText(ram),
    latency ? `${Number(latency.milliseconds.toPrecision(3))} ${latency.confidence}` : "-",
  ];
}

/** "nowhere", or the node. */
function firstText({ firstDifferent }: ProfileRun, layers: Comparison["layers"]): string {
  return firstDifferent === null ? "nowhere" : `${firstDifferent} ${clipped(layers[firstDifferent].op, 10)}`;
}

const fitText = ({ needsBytes, fits }: ComparedProfile["flash"]) =>
  `${bytes(needsBytes)}${fits === false ? " !" : ""}`;

const refusedLines = ({ profile, refused }: ComparedProfile) => [
  "",
  `${profile} cannot run ${plural(refused.length, "node")}:`,
  ...refused.map((line) => wrapped(`  ${line}`, 4)),
];

function layerTable({ layers }: Comparison, profiles: readonly ComparedProfile[]): string {
  const heading = ["#", "op", "output", ...profiles.map(({ profile }) => clipped(profile, COLUMN))];
  const rows = layers.map(({ index, op, shape }) => [
    String(index),
    clipped(op, 17),
    clipped(shape.slice(1).join("x"), 11),
    ...profiles.map(({ run }) => layerText(run!.layers[index])),
  ]);
  return `values that differ, and by how much at most\n${columns([heading, ...rows], [0])}`;
}

/** "equal", or the share and the largest size: "1.234% by 1". */
function layerText({ differing, values, largest }: ProfileRun["layers"][number]): string {
  if (differing === 0) return "equal";
  const share = differing / values;
  const written = share < 0.00001 ? `${differing} of ${count(values)}` : percent(share, 3);
  return `${written} by ${Number(largest.toPrecision(3))}`;
}
