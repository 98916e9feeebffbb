import type { AuditResult, Finding } from "../../harness/audit/gate.ts";
import type { AuditDevice } from "../../harness/audit/result.ts";
import { fenced, table, text } from "../markdown.ts";
import { bytes, count, defenseTitle, percent, plural } from "../words.ts";
import { armsOf, atLevel, cellAt, defensesOf, scoreText } from "./view.ts";

const MARK = { fail: "❌", warn: "⚠️", note: "ℹ️", pass: "✅" } as const;

/** A comment for a pull request: the answer, its reasons, a row a device; all else is folded. */
export function auditMarkdown(result: AuditResult): string {
  const { gate } = result;
  const reasons = [...atLevel(gate.findings, "fail"), ...atLevel(gate.findings, "warn")];
  return [
    `## ${gate.ship ? MARK.pass : MARK.fail} ${text(gate.answer)}`,
    ...(reasons.length > 0 ? [reasons.map(item).join("\n")] : []),
    deviceTable(result),
    folded("Scores of the defenses", scores(result)),
    ...(result.losses.length > 0 ? [folded("What the devices lose", losses(result))] : []),
    folded(`All ${plural(gate.findings.length, "check")}`, gate.findings.map(item).join("\n")),
    folded("How this was measured", basis(result)),
    "",
  ].join("\n\n");
}

const item = ({ level, rule, message }: Finding) => `- ${MARK[level]} **${rule}**: ${text(message)}`;

const folded = (title: string, body: string) =>
  `<details><summary>${title}</summary>\n\n${body}\n\n</details>`;

function deviceTable({ devices, float, gate }: AuditResult): string {
  const twin = float && "deployed" in float ? float.deployed : null;
  const row = (device: AuditDevice) => {
    const { profile, deployed, flash, ram, latency } = device;
    const own = gate.findings.filter((finding) => finding.profile === profile);
    const worst = (["fail", "warn"] as const).find((level) => own.some((finding) => finding.level === level));
    const flips = deployed?.flipsFromFloat ?? deployed?.flipsFromFirst;
    return [
      `${MARK[worst ?? "pass"]} ${profile}`,
      deployed ? `${percent(deployed.accuracy.value)} ${deployed.precision}` : "cannot run it",
      flips ? percent(flips.value) : "–",
      bytes(flash.needsBytes),
      bytes(ram.needsBytes),
      latency ? `${latency.milliseconds.toPrecision(3)} ms` : "–",
    ];
  };
  const head = [
    "device",
    `accuracy${twin ? ` (float ${percent(twin.accuracy.value)})` : ""}`,
    "flips",
    "flash",
    "RAM",
    "time",
  ];
  return table(head, devices.map(row));
}

function scores(result: AuditResult): string {
  const arms = armsOf(result);
  const rows = result.devices
    .filter(({ deployed }) => deployed)
    .flatMap(({ profile }) =>
      defensesOf(result).map((defense) => [
        defenseTitle(defense),
        profile,
        ...arms.map((arm) => scoreText(cellAt(result, defense, arm, profile))),
        String(cellAt(result, defense, arms[0], profile)?.published.value),
      ]),
    );
  const legend =
    "FF: the float twin, QF: the integers, both with everything visible; FR, QR: with the device's access. `!`: above the published threshold. n/r: not runnable, which clears nothing.";
  return `${legend}\n\n${table(["defense", "device", ...arms, "published threshold"], rows)}`;
}

function losses(result: AuditResult): string {
  return table(
    ["defense", "device", "cause", "why"],
    result.losses.map(({ defense, profile, cause, sentence }) => [
      defenseTitle(defense),
      profile,
      cause,
      sentence,
    ]),
  );
}

function basis({ dataset, preset, seed, policy, command, model }: AuditResult): string {
  const training =
    dataset.training === null ? "no training set was given" : `training set of ${count(dataset.training)}`;
  const words = `${dataset.name}: ${plural(dataset.test, "image")} measured, ${count(dataset.clean)} for the defenses, ${training}. ${model.input}. Preset ${preset}, seed ${seed}; the arms ${policy.arms.join(", ")} decide. ${dataset.caveat}`;
  return `${text(words)}\n\n${fenced(command)}`;
}
