/** What an audit says of where it came from, and the digest of what decides its numbers: the same wherever it runs. */
import type { Resize } from "../../data/fit.ts";
import type { Profile } from "../../profile/schema.ts";
import { canonicalJson, digest } from "../store.ts";
import type { AuditProvenance } from "./audit.ts";
import { AUDIT_PRESETS } from "./presets.ts";

/** What was asked for, by the names of the command line; null: not given. */
export interface AuditAsked {
  file: string;
  float: string | null;
  data: string;
  dataset: string | null;
  trainingData: string | null;
  resize: Resize | null;
  inputRange: string | null;
  /** As they were named. */
  profiles: readonly string[];
  policy: string | null;
  preset: keyof typeof AUDIT_PRESETS;
  weightBits: number;
  seed: number;
}

/** sha256 of what was given, and what of ours worked on it. */
export interface AuditSources extends Omit<AuditProvenance["inputs"], "profiles"> {
  profiles: readonly Profile[];
  versions: Record<string, string>;
}

/** As a reader can repeat it: without the options that do not change what is measured. */
export function auditCommand(asked: AuditAsked): string {
  const given = [
    `blindspot audit ${asked.file}`,
    asked.float && `--float ${asked.float}`,
    `--data ${asked.data}`,
    asked.dataset && `--dataset ${asked.dataset}`,
    asked.trainingData && `--training-data ${asked.trainingData}`,
    asked.resize && `--resize ${asked.resize}`,
    asked.inputRange && `--input-range ${asked.inputRange}`,
    `--profile ${asked.profiles.join(" ")}`,
    asked.policy && `--policy ${asked.policy}`,
    `--preset ${asked.preset}`,
    asked.weightBits !== 8 && `--weight-bits ${asked.weightBits}`,
    asked.seed !== 1 && `--seed ${asked.seed}`,
  ];
  return given.filter(Boolean).join(" ");
}

/** engine: as AuditInputs has it. */
export async function provenanceOf(
  asked: AuditAsked,
  { versions, profiles, ...sources }: AuditSources,
): Promise<AuditProvenance & { engine: string }> {
  const { file, preset, resize, inputRange, weightBits } = asked;
  const { model, float, data, training, kernels } = sources;
  const digests = profiles.map(
    async (profile) => [profile.id, await digest(canonicalJson(profile))] as const,
  );
  return {
    ...{ command: auditCommand(asked), file, preset, versions },
    options: { preset: AUDIT_PRESETS[preset], resize, inputRange, weightBits },
    inputs: {
      ...{ model, float, data, training },
      ...{ profiles: Object.fromEntries(await Promise.all(digests)), kernels },
    },
    engine: await digest(canonicalJson([versions, kernels, data, training])),
  };
}
