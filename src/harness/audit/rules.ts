import { DEFENSES } from "../../defenses/index.ts";
import type { Fit } from "../../model/inspect.ts";
import type { Share } from "../result.ts";
import { scoredFindings, silentFindings } from "./defenseRule.ts";
import type { Finding } from "./gate.ts";
import type { Action, Policy } from "./policy.ts";
import type { AuditDevice, AuditEvidence, Deployed } from "./result.ts";

/** A finding before its rule is known; what it is not about is left out. */
export type RuleFinding = Pick<Finding, "level" | "message"> & Partial<Pick<Finding, "profile" | "defense">>;

export interface Rule {
  id: string;
  title: string;
  /** Completes "No, do not ship it: …". */
  breach: string;
  /** One or two sentences for a person who meets it for the first time. */
  help: string;
  check(evidence: AuditEvidence, policy: Policy): RuleFinding[];
}

const count = (value: number) => String(value).replace(/\B(?=(\d{3})+$)/g, ",");
const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
const interval = ({ value, n, low, high }: Share) =>
  `${percent(value)} (n = ${n}, 95 % interval ${percent(low)} to ${percent(high)})`;

/** The level of a breach; null where the policy ignores it. */
const levelOf = (action: Action): "fail" | "warn" | null => (action === "ignore" ? null : action);

/** A finding a device that runs the model: what `check` says of it. */
function deployedRule(
  check: (
    deployed: Deployed,
    device: AuditDevice,
    evidence: AuditEvidence,
    policy: Policy,
  ) => RuleFinding | null,
): Rule["check"] {
  return (evidence, policy) =>
    evidence.devices.flatMap((device) => {
      const finding = device.deployed && check(device.deployed, device, evidence, policy);
      return finding ? [placed(finding, device.profile)] : [];
    });
}

/** The finding, with its device in the message: a list may show the message alone. */
const placed = ({ level, message }: RuleFinding, profile: string): RuleFinding => ({
  level,
  message: `${profile}: ${message}`,
  profile,
});

function limited(breached: boolean, action: Action, message: string): RuleFinding | null {
  if (!breached) return { level: "pass", message };
  const level = levelOf(action);
  return level && { level, message };
}

/** One row a rule: reports, SARIF's rules and the documentation read it. */
export const RULES: readonly Rule[] = [
  {
    id: "unsupported",
    title: "The device can run the model",
    breach: "a device cannot run it",
    help: "Every node needs a kernel of the device's own arithmetic. The message names each node that has none, and why.",
    check: ({ devices }, { unsupported }) =>
      devices.flatMap(({ profile, refused, title }) => {
        const finding = limited(
          refused.length > 0,
          unsupported.action,
          refused.length > 0 ? `cannot run ${refused.join("; ")}.` : `Every node runs on ${title}.`,
        );
        return finding ? [placed(finding, profile)] : [];
      }),
  },
  {
    id: "accuracy",
    title: "Accuracy on the device",
    breach: "it is not accurate enough",
    help: "Share of the given test images whose largest score is at their label, with the device's own integers.",
    check: deployedRule(({ accuracy, precision }, _, __, { accuracy: { minimum, action } }) => {
      const message = `Accuracy at ${precision}: ${interval(accuracy)}${minimum === null ? "" : `; the policy asks for ${percent(minimum)}`}.`;
      if (minimum === null) return { level: "note", message };
      return limited(accuracy.value < minimum, action, message);
    }),
  },
  {
    id: "accuracy-drop",
    title: "Accuracy against the float twin",
    breach: "the device costs too much accuracy",
    help: "How far accuracy falls from the float model to the device. Without a float twin it cannot be known.",
    check: deployedRule(({ accuracy }, _, { float }, { accuracyDrop: { maximum, action } }) => {
      if (maximum === null) return null;
      if (!float || !("deployed" in float))
        return {
          level: "note",
          message: `The fall of accuracy is not known: ${float ? float.refused : "no float twin was given"}.`,
        };
      const drop = float.deployed.accuracy.value - accuracy.value;
      const message = `Accuracy ${drop >= 0 ? "falls" : "rises"} by ${percent(Math.abs(drop))} from the float twin's ${percent(float.deployed.accuracy.value)}; the policy allows ${percent(maximum)}.`;
      return limited(drop > maximum, action, message);
    }),
  },
  {
    id: "label-flips",
    title: "Answers that change",
    breach: "too many answers change on the device",
    help: "Images whose largest score moves to another class, between the float twin and the device, and between devices. Accuracy can stay while answers change.",
    check: (evidence, { labelFlips }) =>
      evidence.devices.flatMap(({ profile, deployed }) => {
        const each = (flips: Share | null | undefined, maximum: number | null, from: string) => {
          if (!flips || maximum === null) return [];
          const message = `${percent(flips.value)} of ${flips.n} images get another class than ${from}; the policy allows ${percent(maximum)}.`;
          const finding = limited(flips.value > maximum, labelFlips.action, message);
          return finding ? [placed(finding, profile)] : [];
        };
        const first = evidence.devices.find((device) => device.deployed)?.profile;
        return [
          ...each(deployed?.flipsFromFloat, labelFlips.maximum, "under the float twin"),
          ...each(deployed?.flipsFromFirst, labelFlips.betweenDevices, `on ${first}`),
        ];
      }),
  },
  {
    id: "flash",
    title: "Room for the weights",
    breach: "its weights do not fit",
    help: "Bytes of constants as stored, against the device's flash and the policy's limit.",
    check: memoryRule("flash", "flashBytes", "constants"),
  },
  {
    id: "ram",
    title: "Room for the activations",
    breach: "its activations do not fit",
    help: "Bytes of activations at most at one time, by a plan of lifetimes, against the device's RAM and the policy's limit.",
    check: memoryRule("ram", "ramBytes", "activations"),
  },
  {
    id: "latency",
    title: "Time of one image",
    breach: "it is too slow",
    help: "An estimate from operations, clock and bandwidth of the profile, or from a measurement that it names; not a measurement of this model.",
    check: deployedRule((_, { latency }, __, { latency: { milliseconds, action } }) => {
      if (!latency)
        return milliseconds === null
          ? null
          : { level: "note", message: "The profile gives no figure for the time of an image." };
      const message = `About ${latency.milliseconds.toPrecision(3)} ms an image (${latency.confidence})${milliseconds === null ? "" : `; the policy allows ${milliseconds} ms`}.`;
      if (milliseconds === null) return { level: "note", message };
      return limited(latency.milliseconds > milliseconds, action, message);
    }),
  },
  {
    id: "backdoor",
    title: "Signs of a backdoor",
    breach: "a defense finds signs of a backdoor",
    help: "A defense's score above the policy's threshold in one of the deciding arms. A threshold is no proof: the message says how often a clean model would exceed it by chance, where that is known.",
    check: scoredFindings,
  },
  {
    id: "not-runnable",
    title: "Defenses that could not run",
    breach: "a defense that the policy requires could not be run",
    help: "A defense that did not run has cleared nothing. The policy says which ones must run.",
    check: silentFindings,
  },
  {
    id: "lost-detection",
    title: "Detections that the device loses",
    breach: "a detection is lost on the device",
    help: "What the reference detects and the device's own access or integers no longer show: mechanical (access), statistical (the signal is gone) or calibration (the threshold no longer fits).",
    check: ({ losses }, { lostDetections }) =>
      losses.flatMap(({ cause, defense, profile, sentence }): RuleFinding[] => {
        const about = (words: string) =>
          `${DEFENSES.find(({ id }) => id === defense)!.title} on ${profile}: ${words}`;
        if (cause === "kept") return [{ level: "note", message: about(sentence), defense, profile }];
        const level = levelOf(lostDetections.action);
        return level ? [{ level, message: about(`${cause}: ${sentence}`), defense, profile }] : [];
      }),
  },
];

function memoryRule(of: "flash" | "ram", limit: "flashBytes" | "ramBytes", what: string): Rule["check"] {
  return ({ devices }, { memory }) =>
    devices.flatMap((device) => {
      const { needsBytes, hasBytes }: Fit = device[of];
      const bounds = [hasBytes, memory[limit]].filter((bound) => bound !== null);
      const message = `${count(needsBytes)} bytes of ${what}, ${bounds.length === 0 ? "the profile gives no limit" : `of ${count(Math.min(...bounds))}`}.`;
      if (bounds.length === 0) return [placed({ level: "note", message }, device.profile)];
      const finding = limited(needsBytes > Math.min(...bounds), memory.action, message);
      return finding ? [placed(finding, device.profile)] : [];
    });
}
