import { describe, expect, it } from "vitest";
import { ModelFormatError, UnsupportedOpError } from "../../src/errors.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { seededRandom } from "../../src/random.ts";
import { exportedOnnx, exportedTflite } from "./exportedFiles.ts";
import { mutate } from "./mutate.ts";
import { mutated, outcomeOf } from "./onnxMutations.ts";

const RUNS = 40;

function importOrRefuse(bytes: Uint8Array): string {
  try {
    importTflite(bytes, "hostile.tflite");
    return "imported";
  } catch (error) {
    if (error instanceof ModelFormatError || error instanceof UnsupportedOpError) return error.name;
    throw error;
  }
}

describe("what the exporters write", () => {
  it("imports, and broken gives a Graph or one of two errors: .tflite", () => {
    const random = seededRandom(21);
    for (const [name, bytes] of Object.entries(exportedTflite())) {
      expect(importOrRefuse(bytes), name).toBe("imported");
      for (let i = 0; i < RUNS; i++) importOrRefuse(mutate(bytes, random));
    }
  });

  it("imports, and broken gives a Graph or one of two errors: .onnx", () => {
    const random = seededRandom(22);
    for (const [name, bytes] of Object.entries(exportedOnnx())) {
      expect(outcomeOf(bytes), name).toBe("imported");
      for (let i = 0; i < RUNS; i++) outcomeOf(mutated(bytes, random));
    }
  });
});
