import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verifyModelFolder } from "../../src/cli/modelFolders.ts";
import type { Line } from "../../src/cli/verbs/verify.ts";
import { model, node } from "../import/onnxModels.ts";

const base64 = (values: ArrayBufferView) =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
const value = (name: string, dtype: string, shape: number[], values: ArrayBufferView) => ({
  name,
  dtype,
  shape,
  base64: base64(values),
});
const x = value("x", "float32", [2], Float32Array.of(1, 2));
const scale = value("s", "float32", [], Float32Array.of(0.5));
const zero = value("z", "uint8", [], Uint8Array.of(3));
const y = value("y", "uint8", [2], Uint8Array.of(5, 7));

const quantize = model({
  inputs: { x: ["float32", [2]], s: ["float32", []], z: ["uint8", []] },
  outputs: { y: ["uint8", [2]] },
  nodes: [node("QuantizeLinear", "x s z", "y")],
});
/** The files that the tests name. */
const FILES: Record<string, Uint8Array> = {
  "q.onnx": quantize,
  "cut.onnx": quantize.subarray(0, 20),
  "relu.onnx": model({
    inputs: { x: ["float32", [2]] },
    outputs: { y: ["float32", [2]] },
    nodes: [node("Relu", "x", "y")],
  }),
  "float8.onnx": model({
    inputs: { x: ["float32", [2]], s: ["float32", []] },
    outputs: { y: ["uint8", [2]] },
    nodes: [node("QuantizeLinear", "x s", "y", { output_dtype: 17 })],
    opset: 21,
  }),
};

const plain = { file: "q.onnx", inputs: [x, scale, zero], expected: [y] };
const computed = (outputs: object) => ({
  file: "q.onnx",
  cases: [{ inputs: [x, scale, zero], outputs }],
});
const relu = [value("y", "float32", [2], Float32Array.of(1, 2))];
/** The test, and the counts [passed, failed, skipped] and the note of its first line. */
const TESTS: Record<string, [test: object, counts: number[], note: string]> = {
  "as it should be": [plain, [2, 0, 0], ""],
  "a wrong value": [
    { ...plain, expected: [value("y", "uint8", [2], Uint8Array.of(5, 8))] },
    [0, 2, 0],
    "y by reference: at 1 expected 8, got 7",
  ],
  "another type of the output": [{ ...plain, expected: [{ ...y, dtype: "int8" }] }, [0, 2, 0], "got NaN"],
  "more outputs than there are": [{ ...plain, expected: [y, y] }, [2, 2, 0], "got NaN"],
  "no outputs": [{ ...plain, expected: [] }, [0, 1, 0], "no outputs.expected: expected operator tests"],
  "an input left out": [{ ...plain, inputs: [x, scale] }, [0, 1, 0], 'expected "z" made by an earlier node'],
  "an input cut off": [
    { ...plain, inputs: [{ ...x, base64: "AAAA" }, scale, zero] },
    [0, 1, 0],
    "x: expected 8 bytes of float32, got 3",
  ],
  "an input that is no base64": [
    { ...plain, inputs: [{ ...x, base64: "AAAAA" }, scale, zero] },
    [0, 1, 0],
    "got base64",
  ],
  "a shape without end": [
    { ...plain, inputs: [{ ...x, shape: [1e9, 1e9] }, scale, zero] },
    [0, 1, 0],
    "at most 4194304 elements",
  ],
  "an input of bool": [{ ...plain, inputs: [{ ...x, dtype: "bool" }, scale, zero] }, [0, 0, 1], "x is bool"],
  "an output of float8": [
    { ...plain, expected: [{ ...y, dtype: "float8e4m3fn" }] },
    [0, 0, 1],
    "y is float8",
  ],
  "codes of float8": [{ ...plain, file: "float8.onnx", inputs: [x, scale] }, [0, 0, 1], "is float8e4m3fn"],
  "no such file": [{ ...plain, file: "none.onnx" }, [0, 1, 0], "expected a model, got nothing there"],
  "a file above": [{ ...plain, file: ".." }, [0, 1, 0], "expected a model, got a directory"],
  "a path": [{ ...plain, file: "../q.onnx" }, [0, 1, 0], "the name of a file"],
  "a file cut off": [{ ...plain, file: "cut.onnx" }, [0, 1, 0], "cut.onnx: offset 10"],
  "floats of ONNX's own": [
    { file: "relu.onnx", inputs: [x], expected: relu },
    [0, 0, 1],
    "no such operator in the reference",
  ],
  "floats of a runtime": [
    { file: "relu.onnx", cases: [{ inputs: [x], outputs: { ort_web_wasm: relu } }] },
    [1, 0, 0],
    "",
  ],
  "an unknown runtime": [computed({ other: [y] }), [0, 0, 1], "no case of a runtime that is known here"],
  "a runtime that failed": [computed({ ort_web_wasm: { error: "no" } }), [0, 0, 1], "no case of a runtime"],
  "sameAs of sameAs": [
    computed({ a: [y], b: { sameAs: "a" }, ort_web_wasm: { sameAs: "b" } }),
    [2, 0, 0],
    "",
  ],
  "a ring of sameAs": [computed({ ort_web_wasm: { sameAs: "ort_web_wasm" } }), [0, 0, 1], "no case of"],
  "sameAs of a prototype": [computed({ ort_web_wasm: { sameAs: "__proto__" } }), [0, 0, 1], "no case of"],
};

describe("tests of one operator, changed:", () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "blindspot-"));
  });
  afterAll(() => rm(root, { recursive: true }));
  it.each(Object.entries(TESTS))("%s", async (what, [test, [passed, failed, skipped], note]) => {
    const folder = join(root, what);
    await mkdir(folder);
    for (const [name, bytes] of Object.entries(FILES)) await writeFile(join(folder, name), bytes);
    const vectors = { format: "onnx-op-tests/1", tests: { [what]: test } };
    await writeFile(join(folder, "vectors.json"), JSON.stringify(vectors));
    const lines: Line[] = [];
    for await (const line of verifyModelFolder(folder)) lines.push(line);
    expect(lines[0].note).toContain(note);
    expect(lines[0].note).not.toContain("\n");
    expect(lines[0]).toMatchObject({ passed, failed, skipped });
  });
});
