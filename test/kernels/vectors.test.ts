import { beforeAll, describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { ModelFormatError } from "../../src/errors.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { verifyVectorFile } from "../../src/kernels/vectors.ts";
import { describeShared, sharedFiles, sharedJson } from "./shared.ts";

const DIRECTORY = "vectors/cmsis-nn";
/** An index, not vectors. */
const FILES = sharedFiles(DIRECTORY).filter((name) => name !== "MANIFEST.json");
/** Cases that have no right answer. */
const SKIPS: Record<string, string> = {
  "disagreements.json": "the cores disagree: for information only",
};

for (const build of BUILDS) {
  describeShared(`CMSIS-NN vectors in the ${build} build`, DIRECTORY, () => {
    let kernels: Kernels;
    beforeAll(async () => {
      kernels = await bindKernels(await loadKernelModule(build));
    });
    for (const name of FILES.filter((file) => !(file in SKIPS))) {
      test(`${name} is reproduced`, () => {
        const results = [...verifyVectorFile(kernels, sharedJson(`${DIRECTORY}/${name}`), name)];
        expect(results.filter((result) => !result.passed)).toEqual([]);
        expect(results.length).toBeGreaterThan(0);
      });
    }
    for (const [name, reason] of Object.entries(SKIPS)) {
      test(`${name} is skipped: ${reason}`, () => {
        const results = [...verifyVectorFile(kernels, sharedJson(`${DIRECTORY}/${name}`), name)];
        expect(new Set(results.map((result) => result.skipped))).toEqual(new Set([reason]));
      });
    }
  });
}

const base64 = (values: Int8Array | Int32Array) => Buffer.from(values.buffer).toString("base64");

/** 1x2x2x1, one 1x1 filter of weight 2, bias 1: outputs 2 x + 1. */
function convolutionFile() {
  return {
    kernel: "arm_convolve_s8",
    rounding: "double",
    format_version: 1,
    cases: [
      {
        name: "double-plus-one",
        params: {
          input_shape_nhwc: [1, 2, 2, 1],
          output_shape_nhwc: [1, 2, 2, 1],
          filter_shape_ohwi: [1, 1, 1, 1],
          stride_h: 1,
          stride_w: 1,
          pad_top: 0,
          pad_left: 0,
          dilation_h: 1,
          dilation_w: 1,
          groups: 1,
          input_offset: 0,
          output_offset: 0,
          activation_min: -128,
          activation_max: 127,
        } as Record<string, unknown>,
        input: base64(Int8Array.of(0, 1, 2, 100)),
        weights: base64(Int8Array.of(2)) as unknown,
        bias: base64(Int32Array.of(1)),
        multiplier: [2 ** 30],
        shift: [1],
        output: base64(Int8Array.of(1, 3, 5, 127)),
      } as Record<string, unknown> & { params: Record<string, unknown> },
    ],
  };
}

describe("a vector file", () => {
  let kernels: Kernels;
  beforeAll(async () => {
    kernels = await bindKernels(await loadKernelModule("simd"), { maximumPages: 64 });
  });
  const verify = (json: unknown) => [...verifyVectorFile(kernels, json, "x.json")];

  test("with right outputs passes", () => {
    expect(verify(convolutionFile())).toEqual([
      { kernel: "arm_convolve_s8", case: "double-plus-one", passed: true, detail: "4 values" },
    ]);
  });

  test("with a wrong output fails and says where", () => {
    const file = convolutionFile();
    file.cases[0].output = base64(Int8Array.of(1, 3, 4, 127));
    expect(verify(file)[0].detail).toBe("1 of 4 values differ, first at 2: expected 4, got 5");
    expect(verify(file)[0].passed).toBe(false);
  });

  test("of another form is refused", () => {
    for (const json of [null, 3, "x", [], {}, { cases: {} }, { cases: [3] }, { cases: [{}] }]) {
      expect(() => verify(json)).toThrow(ModelFormatError);
    }
    expect(() => verify({ ...convolutionFile(), format_version: 2 })).toThrow(
      "x.json: format_version: expected 1, got 2",
    );
    expect(() => verify({ ...convolutionFile(), kernel: "__proto__" })).toThrow("kernel: expected the name");
    expect(() => verify({ ...convolutionFile(), rounding: "constructor" })).toThrow("rounding: expected");
  });

  const params: [field: string, value: unknown][] = [
    ["input_shape_nhwc", [1, 2, 2]],
    ["input_shape_nhwc", [1, 2, 2, 0]],
    ["input_shape_nhwc", [1, 2, 2, 2]],
    ["input_shape_nhwc", [65536, 65536, 65536, 1]],
    ["input_shape_nhwc", "2x2"],
    ["output_shape_nhwc", [2, 2, 2, 1]],
    ["output_shape_nhwc", [1, 65536, 256, 1]],
    ["filter_shape_ohwi", [1, 1, 1, 2]],
    ["filter_shape_ohwi", [1, 1.5, 1, 1]],
    ["stride_h", 0],
    ["stride_w", "1"],
    ["stride_w", 1e300],
    ["pad_top", -1],
    ["dilation_h", null],
    ["groups", 2],
    ["groups", Number.NaN],
    ["input_offset", 300],
    ["output_offset", -129],
    ["activation_min", 128],
    ["activation_max", -129],
  ];
  test.each(params)("whose params.%s is %j is refused by that name", (field, value) => {
    const file = convolutionFile();
    file.cases[0].params[field] = value;
    expect(() => verify(file)).toThrow(ModelFormatError);
    expect(() => verify(file)).toThrow(
      /^x\.json: cases\[0\] "double-plus-one": [^\n]+: expected [^\n]+, got [^\n]+$/,
    );
  });

  const fields: [field: string, value: unknown][] = [
    ["params", undefined],
    ["params", []],
    ["input", undefined],
    ["input", "AAE="],
    ["input", "AAEC*A=="],
    ["input", "AAECZGQ="],
    ["input", 7],
    ["weights", null],
    ["weights", "A==="],
    ["bias", "AQ=="],
    ["multiplier", [1, 2]],
    ["multiplier", [2 ** 31]],
    ["multiplier", "1"],
    ["shift", [31]],
    ["shift", [-32]],
    ["shift", [0.5]],
    ["output", undefined],
    ["output", "AQ=="],
  ];
  test.each(fields)("whose %s is %j is refused by that name", (field, value) => {
    const file = convolutionFile();
    (file.cases[0] as Record<string, unknown>)[field] = value;
    expect(() => verify(file)).toThrow(ModelFormatError);
    expect(() => verify(file)).toThrow(`x.json: cases[0] "double-plus-one": ${field}`);
  });

  test("gives its memory back, refused or not", () => {
    const mark = kernels.mark();
    verify(convolutionFile());
    const file = convolutionFile();
    file.cases[0].output = "AQ==";
    expect(() => verify(file)).toThrow();
    expect(kernels.mark()).toBe(mark);
  });
});
