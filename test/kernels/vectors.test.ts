import { beforeAll, describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { ModelFormatError } from "../../src/errors.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { verifyVectorFile } from "../../src/kernels/vectors.ts";
import { describeShared, sharedFiles, sharedJson } from "./shared.ts";

const DIRECTORY = "vectors/cmsis-nn";
const FINDINGS = "vectors/cmsis-nn-findings";
/** An index, not vectors. */
const FILES = sharedFiles(DIRECTORY).filter((name) => name !== "MANIFEST.json");
for (const build of BUILDS) {
  describeShared(`CMSIS-NN vectors in the ${build} build`, DIRECTORY, () => {
    let kernels: Kernels;
    beforeAll(async () => {
      kernels = await bindKernels(await loadKernelModule(build));
    });
    for (const name of FILES)
      test(`${name} is reproduced`, () => {
        const results = [...verifyVectorFile(kernels, sharedJson(`${DIRECTORY}/${name}`), name)];
        expect(results.filter((result) => !result.passed)).toEqual([]);
        expect(results.length).toBeGreaterThan(0);
      });
    test("where the cores disagree, each output is the operator's, a named defect's, or of stray memory", () => {
      const name = "disagreements.json";
      const results = [...verifyVectorFile(kernels, sharedJson(`${DIRECTORY}/${name}`), name)];
      const defects = results.flatMap(({ reproduced = [] }) => reproduced);
      expect(new Set(defects)).toEqual(new Set(["cmsis-nn-d2", "cmsis-nn-d10"]));
      const causes = results.flatMap(({ unequal = [] }) => unequal);
      expect(defects.length + causes.length).toBe(results.length);
      for (const cause of causes) expect(cause).toMatch(/memory outside of its operands, cmsis-nn-d1$/);
    });
  });
  describeShared(`findings in CMSIS-NN in the ${build} build`, FINDINGS, () => {
    test.each(sharedFiles(FINDINGS))("%s: right and defective outputs are given", async (name) => {
      const kernels = await bindKernels(await loadKernelModule(build));
      const results = [...verifyVectorFile(kernels, sharedJson(`${FINDINGS}/${name}`), name)];
      expect(results.filter((result) => !result.passed)).toEqual([]);
      const defect = `cmsis-nn-${/^D\d+/.exec(name)![0].toLowerCase()}`;
      const named = results.flatMap(({ reproduced = [], unequal = [] }) => [...reproduced, ...unequal]);
      for (const cause of named) expect(cause).toContain(defect);
      // The scalar helper is the one that is right.
      expect(named.length > 0).toBe(!name.includes("scalar"));
    });
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
    expect(() => verify({ ...convolutionFile(), rounding: "constructor" })).toThrow("rounding: expected");
  });

  const params: [field: string, value: unknown][] = [
    ["input_shape_nhwc", [1, 2, 2]],
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

  const int16 = (...values: number[]) => Buffer.from(Int16Array.from(values).buffer).toString("base64");
  const wide = { activation_min: -32768, activation_max: 20000 };
  const pool = {
    ...wide,
    ...{ input_shape_nhwc: [1, 1, 3, 1], output_shape_nhwc: [1, 1, 2, 1], filter_h: 1, filter_w: 2 },
    ...{ stride_h: 1, stride_w: 2, pad_top: 0, pad_left: 0 },
  };
  const pair = { ...wide, length: 2, input1_offset: 0, input2_offset: 0, output_offset: 0 };
  const half = { output_multiplier: 2 ** 30, output_shift: 0 };
  const sum = { input1_multiplier: 2 ** 30, input1_shift: 1, input2_multiplier: 2 ** 30, input2_shift: 0 };
  const others: [kernel: string, params: object, operands: object, output: string][] = [
    ["arm_avgpool_s16", pool, { input: int16(-3, -4, 30000) }, int16(-4, 20000)],
    ["arm_max_pool_s16", pool, { input: int16(-3, -4, -30000) }, int16(-3, -30000)],
    [
      "arm_elementwise_add_s16",
      { ...pair, ...half, ...sum, left_shift: 0 },
      { input: int16(100, 32767), input2: int16(-60, 32767) },
      int16(35, 20000),
    ],
    [
      "arm_elementwise_mul_s16",
      { ...pair, ...half },
      { input: int16(3, 300), input2: int16(-3, 300) },
      int16(-4, 20000),
    ],
    [
      "arm_transpose_conv_s8",
      {
        ...{
          input_shape_nhwc: [1, 1, 2, 1],
          output_shape_nhwc: [1, 1, 4, 1],
          filter_shape_ohwi: [1, 1, 3, 1],
        },
        ...{ stride_h: 1, stride_w: 2, pad_top: 0, pad_left: 0, input_offset: 1, output_offset: 0 },
        ...{ activation_min: -128, activation_max: 50 },
      },
      {
        input: base64(Int8Array.of(0, 1)),
        weights: base64(Int8Array.of(1, 10, 20)),
        bias: null,
        ...{ multiplier: [2 ** 30], shift: [1] },
      },
      base64(Int8Array.of(1, 10, 22, 20)),
    ],
  ];
  test.each(others)("of %s is run", (kernel, params, operands, output) => {
    const output_dtype = kernel.endsWith("s16") ? "int16" : "int8";
    const one = { name: "one", params, ...operands, output, output_dtype };
    expect(verify({ kernel, rounding: "double", cases: [one] })[0]).toMatchObject({ passed: true });
  });

  test("asks for defects of small cases alone", () => {
    const file = ofBuilds({ m3: build([1, 3, 5, 127]) });
    file.cases[0].params.output_shape_nhwc = [1, 65535, 255, 1];
    expect(() => verify(file)).toThrow("expected at most 4194304 multiply-accumulates, got 16711425");
  });

  test("of a kernel that is not here, or of an empty shape, is skipped and says why", () => {
    for (const kernel of ["__proto__", "arm_svdf_s8"])
      expect(verify({ ...convolutionFile(), kernel })[0]).toMatchObject({
        passed: false,
        skipped: `no kernel here computes "${kernel}"`,
      });
    const file = convolutionFile();
    file.cases[0].params.input_shape_nhwc = [1, 0, 2, 1];
    expect(verify(file)[0].skipped).toBe("input_shape_nhwc is empty: nothing is computed");
  });

  test("goes on after a malformed case where it is told to", () => {
    const file = convolutionFile();
    const cases = [{ ...file.cases[0], input: "AQ==" }, file.cases[0]];
    const results = [...verifyVectorFile(kernels, { ...file, cases }, "x.json", { goOn: true })];
    expect(results.map(({ passed }) => passed)).toEqual([false, true]);
    expect(results[0].detail).toContain("cases[0]");
  });

  /** The one case with an output for each of these builds. */
  const ofBuilds = (outputs: Record<string, object>) => {
    const { output: _, ...rest } = convolutionFile().cases[0];
    return { ...convolutionFile(), cases: [{ ...rest, outputs_by_build: outputs }] };
  };
  const build = (output: number[] | null, more: object = {}) => ({
    status: 0,
    depends_on_memory_outside_operands: false,
    output,
    ...more,
  });

  test("with outputs of builds passes where some build has the right one, and names the others", () => {
    const [result] = verify(
      ofBuilds({
        m3: build([1, 3, 5, 127]),
        m55: build([1, 3, 5, 126]),
        m7: build(null, { status: -3 }),
        m0: build([1, 3, 4, 127], { depends_on_memory_outside_operands: true }),
      }),
    );
    expect(result.passed).toBe(true);
    expect(result.unequal).toEqual([
      "m7: the call returns -3",
      "m0: reads memory outside of its operands",
      "m55: differs, for no cause known here",
    ]);
  });

  test("with outputs of builds fails where no build has the right one", () => {
    const [result] = verify(ofBuilds({ m3: build([1, 3, 5, 126]), m55: build([1, 3, 5, 126]) }));
    expect(result).toMatchObject({ passed: false, detail: "no build has these values: m3, m55" });
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
