import type { Defense } from "../../defenses/defense.ts";

/** How much an audit spends. */
export interface AuditPreset {
  /** Images on which accuracy and flips are measured, at most. */
  testImages: number;
  /** The defender's images, at most. */
  cleanImages: number;
  /** Of those, for calibrating a float model. */
  calibrationImages: number;
  defenses: keyof Defense["presets"];
}

/** brief: a first look in a pull request. quick: minutes. study: before a release. */
export const AUDIT_PRESETS = {
  brief: { testImages: 500, cleanImages: 256, calibrationImages: 256, defenses: "brief" },
  quick: { testImages: 1000, cleanImages: 512, calibrationImages: 512, defenses: "quick" },
  study: { testImages: 5000, cleanImages: 1024, calibrationImages: 512, defenses: "study" },
} as const satisfies Record<string, AuditPreset>;
