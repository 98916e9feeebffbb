import {
  type EndInfo,
  type Inspection,
  mayBeImage,
  type NodeInfo,
  type TargetInfo,
} from "../model/inspect.ts";
import { bytes, count, plural } from "../report/words.ts";
import { clipped, columns, WIDTH, wrapped } from "./columns.ts";

/** An inspection for a person, within 100 columns. file: as it was named. format: of the file, in words. */
export function inspectText(
  inspection: Inspection,
  file: string,
  format: string,
  target?: TargetInfo,
): string {
  const { name, inputs, outputs, nodes, totals } = inspection;
  // The importer of .tflite names a graph by its file.
  const title = name.trim() && !file.endsWith(name) ? clipped(name, 44) : "";
  return [
    wrapped(clipped(file, WIDTH)),
    wrapped(`${format}${title ? `, ${title}` : ""}, ${plural(nodes.length, "node")}`),
    "",
    ...inputs.flatMap((input) => [wrapped(`input   ${endText(input)}`, 8), ...imageLines(input)]),
    ...outputs.map((output) => wrapped(`output  ${endText(output)}`, 8)),
    "",
    nodeTable(nodes),
    "",
    `parameters   ${count(totals.parameters)}`,
    `MACs         ${count(totals.macs)} an inference, in convolutions and matrix products`,
    `weights      ${bytes(totals.weightBytes)} of constants as stored`,
    `activations  ${bytes(totals.arenaBytes)} at most at one time (batch of one, by the plan of lifetimes)`,
    ...(target ? ["", ...targetLines(target), ...floatLines(nodes)] : []),
  ].join("\n");
}

const shapeText = (shape: readonly number[]) => shape.join("x");

function endText({ name, shape, dtype, scale, zeroPoint }: EndInfo): string {
  const quantized =
    scale === null ? "" : `, real = ${Number(scale.toPrecision(7))} * ${codeText(zeroPoint ?? 0)}`;
  return `${clipped(name.trim() || "(no name)", 44)}  ${shapeText(shape) || "scalar"} ${dtype}${quantized}`;
}

function codeText(zeroPoint: number): string {
  if (zeroPoint === 0) return "q";
  return zeroPoint < 0 ? `(q + ${-zeroPoint})` : `(q - ${zeroPoint})`;
}

function imageLines({ image, range, shape, scale }: Inspection["inputs"][number]): string[] {
  const lines = [];
  if (range) lines.push(`        holds real ${range.map((end) => Number(end.toPrecision(4))).join(" to ")}`);
  if (image) lines.push(`        pixels 0..255 stand for ${image.convention}: ${image.rule}`);
  else if (mayBeImage({ shape }) && scale !== null)
    lines.push("        its scale is that of no usual range of pixels");
  return lines;
}

/** Columns that are flushed right: index, parameters, weight bytes, MACs. */
const NUMBERS = [0, 4, 5, 6];

function nodeTable(nodes: readonly NodeInfo[]): string {
  const heading = ["#", "op", "output", "type", "params", "weights", "MACs", "fused", "filter scales"];
  const rows = nodes.map((node) => [
    String(node.index),
    clipped(node.op, 23),
    shapeText(node.shape),
    node.dtype,
    node.parameters ? count(node.parameters) : "-",
    node.weightBytes ? bytes(node.weightBytes) : "-",
    node.macs ? count(node.macs) : "-",
    node.activation ?? "-",
    weightsText(node.weights),
  ]);
  return columns([heading, ...rows], NUMBERS);
}

function weightsText(weights: NodeInfo["weights"]): string {
  if (!weights) return "-";
  if (weights.granularity === "none") return weights.dtype;
  const { dtype, granularity, scales } = weights;
  return granularity === "per-tensor" ? `${dtype}, 1` : `${dtype}, ${scales}`;
}

function targetLines(target: TargetInfo): string[] {
  const { profile, title, refused, latency } = target;
  return [
    `on ${profile} (${title})`,
    refused.length === 0
      ? "runs         every node"
      : `runs         not: ${plural(refused.length, "node")} cannot run`,
    ...refused.map((line) => wrapped(`             ${line}`, 15)),
    fitText("flash", target.flash),
    fitText("RAM", target.ram),
    `latency      ${latencyText(latency)}`,
  ];
}

/** What to do with a float model that is meant for a device. */
function floatLines(nodes: readonly NodeInfo[]): string[] {
  const weights = nodes.flatMap((node) => node.weights ?? []);
  if (weights.length === 0 || weights.some(({ granularity }) => granularity !== "none")) return [];
  return [
    wrapped(
      "note         as it is, in float: `blindspot quantize` makes the integers that a device is given, and `blindspot audit` judges a float model by them",
      13,
    ),
  ];
}

function fitText(what: string, { needsBytes, hasBytes, fits }: TargetInfo["flash"]): string {
  const answer =
    fits === null
      ? "the profile does not say how much there is"
      : `${fits ? "fits" : "does not fit"} in ${bytes(hasBytes!)}`;
  return `${what.padEnd(13)}${bytes(needsBytes)}: ${answer}`;
}

/** Of one image. */
export function latencyText(latency: TargetInfo["latency"]): string {
  if (!latency) return "no estimate";
  return `${Number(latency.milliseconds.toPrecision(3))} ms an image (estimate: ${latency.confidence})`;
}
