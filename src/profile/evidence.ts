import * as z from "../zod.ts";

/** How a figure is known: run on the real library or ISA, read in primary code, told by the vendor, or inferred. */
export const CONFIDENCE = ["executed", "source", "vendor", "inferred"] as const;

export const evidence = {
  source: z.string().min(1).meta({ id: "source" }),
  confidence: z.enum(CONFIDENCE).meta({ id: "confidence" }),
};
export const figure = z
  .strictObject({ value: z.number().positive().finite(), ...evidence })
  .meta({ id: "figure" });
export const bytes = z
  .strictObject({ value: z.number().int().positive(), ...evidence })
  .meta({ id: "bytes" });
