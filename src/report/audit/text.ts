import type { AuditResult, Finding } from "../../harness/audit/gate.ts";
import type { AuditDevice } from "../../harness/audit/result.ts";
import type { Fit } from "../../model/inspect.ts";
import { bytes, count, defenseTitle, percent, plural } from "../words.ts";
import { armsOf, atLevel, cellAt, defensesOf, scoreText } from "./view.ts";

const WIDTH = 100;
const LABEL = 30;
const COLOURS = { fail: 31, warn: 33, pass: 32, soft: 90, strong: 1 } as const;
type Paint = (text: string, colour: keyof typeof COLOURS) => string;

/** An audit for a terminal of 100 columns; the first line answers "may I ship this?". */
export function auditText(result: AuditResult, { color }: { color: boolean }): string {
  const paint: Paint = (text, colour) => (color ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text);
  const { gate } = result;
  const counts = `${plural(atLevel(gate.findings, "pass").length, "check")} passed, ${plural(atLevel(gate.findings, "note").length, "note")} in the report`;
  return [
    ...wrapped(gate.answer, "").map((line) => paint(line, gate.ship ? "pass" : "fail")),
    "",
    ...atLevel(gate.findings, "fail").flatMap((finding) => findingLines(finding, "FAIL", paint)),
    ...atLevel(gate.findings, "warn").flatMap((finding) => findingLines(finding, "WARN", paint)),
    paint(counts, "soft"),
    "",
    ...deviceTable(result, paint),
    "",
    ...scoreTable(result, paint),
    "",
    ...wrapped(basis(result), "").map((line) => paint(line, "soft")),
    "",
  ].join("\n");
}

function findingLines({ rule, message }: Finding, word: "FAIL" | "WARN", paint: Paint): string[] {
  const lines = wrapped(`${rule}: ${message}`, "      ");
  return [`${paint(word, word === "FAIL" ? "fail" : "warn")}  ${lines[0].trimStart()}`, ...lines.slice(1)];
}

function deviceTable({ devices, float }: AuditResult, paint: Paint): string[] {
  const head = `${"".padEnd(LABEL)}${"accuracy".padEnd(18)}${"flips".padEnd(9)}${"flash".padEnd(13)}${"RAM".padEnd(13)}ms`;
  const twin = float && "deployed" in float ? float.deployed : null;
  return [
    paint(head, "strong"),
    ...(twin
      ? [`${"fp32, the float twin".padEnd(LABEL)}${percent(twin.accuracy.value)} n=${twin.accuracy.n}`]
      : []),
    ...devices.map((device) => deviceRow(device, twin?.accuracy.value ?? null)),
  ];
}

function deviceRow({ profile, deployed, flash, ram, latency }: AuditDevice, float: number | null): string {
  if (!deployed) return `${profile.padEnd(LABEL)}cannot run it`;
  const fall =
    float === null ? "" : ` (${(100 * (deployed.accuracy.value - float)).toFixed(1).replace(/^(?!-)/, "+")})`;
  const flips = deployed.flipsFromFloat ?? deployed.flipsFromFirst;
  const room = ({ needsBytes, fits }: Fit) => `${bytes(needsBytes)}${fits === false ? " TOO BIG" : ""}`;
  const name = `${profile} ${deployed.precision}`;
  return `${cut(name, LABEL - 1).padEnd(LABEL)}${`${percent(deployed.accuracy.value)}${fall}`.padEnd(18)}${(flips ? percent(flips.value) : "").padEnd(9)}${room(flash).padEnd(13)}${room(ram).padEnd(13)}${latency ? latency.milliseconds.toPrecision(3) : "?"}`;
}

function scoreTable(result: AuditResult, paint: Paint): string[] {
  const arms = armsOf(result);
  const ran = result.devices.filter(({ deployed }) => deployed);
  const name = (defense: string) => `  ${defenseTitle(defense)}`.padEnd(LABEL);
  return [
    paint(`${"scores".padEnd(LABEL)}${arms.map((arm) => arm.padEnd(10)).join("")}threshold`, "strong"),
    ...ran.flatMap(({ profile, access }) => [
      `${profile} (${access})`,
      ...defensesOf(result).map((defense) => {
        const scores = arms
          .map((arm) => scoreText(cellAt(result, defense, arm, profile)).padEnd(10))
          .join("");
        const published = cellAt(result, defense, arms[0], profile)?.published.value;
        return `${name(defense)}${scores}${published}`;
      }),
    ]),
    paint("FF float twin, QF integers: everything visible; FR, QR: with the device's access.", "soft"),
    paint("! above the published threshold; n/r not runnable, which clears nothing.", "soft"),
  ];
}

function basis({ dataset, seed, preset, policy }: AuditResult): string {
  const training =
    dataset.training === null ? "no training set" : `a training set of ${count(dataset.training)}`;
  return `${dataset.name}: ${plural(dataset.test, "image")} measured, ${count(dataset.clean)} for the defenses, ${training}. Preset ${preset}, seed ${seed}; ${policy.arms.join(", ")} decide. ${dataset.caveat}`;
}

const cut = (text: string, width: number) => (text.length <= width ? text : `${text.slice(0, width - 1)}…`);

/** Lines of at most WIDTH. */
function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(/\s+/)) {
    if (line.length + word.length > WIDTH && line.trim() !== "") {
      lines.push(line.trimEnd());
      line = indent;
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()];
}
