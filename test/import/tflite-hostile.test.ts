import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ModelFormatError, UnsupportedOpError } from "../../src/errors.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { seededRandom } from "../../src/random.ts";
import { exampleTflite } from "./exampleTflite.ts";
import { mutate } from "./mutate.ts";
import { type BuiltTensor, buildTflite } from "./tfliteBuilder.ts";

const SHARED = ["tflm_hello_world_int8", "cfu_magic_wand", "mlperf_kws_int8", "coral_split_concat"];
const files = [
  { name: "a built model", bytes: exampleTflite() },
  ...SHARED.map((name) => ({ name, path: `../shared/models/${name}/model.tflite` }))
    .filter(({ path }) => existsSync(path))
    .map(({ name, path }) => ({ name, bytes: new Uint8Array(readFileSync(path)) })),
];

const WORDS = [0, 1, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** An import must give a Graph or one of the two errors that say why not. */
function attempt(bytes: Uint8Array, what: string): Error | undefined {
  try {
    importTflite(bytes, "hostile.tflite");
    return undefined;
  } catch (error) {
    if (!(error instanceof ModelFormatError || error instanceof UnsupportedOpError))
      throw new Error(`${what}: ${error}`, { cause: error });
    return error;
  }
}

for (const { name, bytes } of files)
  describe(`hostile changes of ${name}`, () => {
    it("imports unchanged", () => expect(attempt(bytes, "unchanged")).toBeUndefined());

    it("says what is wrong with the file cut at any 64th of its length", () => {
      for (let part = 0; part < 64; part++) {
        const length = Math.floor((bytes.length * part) / 64);
        const error = attempt(bytes.slice(0, length), `cut at ${length}`);
        if (part < 32) expect(error, `cut at ${length}`).toBeInstanceOf(ModelFormatError);
      }
    });

    it("survives each word of the first 2 KB made extreme", () => {
      const changed = bytes.slice();
      const view = new DataView(changed.buffer);
      for (let at = 0; at + 4 <= Math.min(2048, bytes.length); at += 4) {
        for (const word of WORDS) {
          view.setUint32(at, word, true);
          attempt(changed, `offset ${at} set to ${word}`);
        }
        changed.set(bytes.subarray(at, at + 4), at);
      }
    });

    it("survives random mutations", () => {
      fc.assert(
        fc.property(fc.integer({ min: 0 }), (seed) => {
          attempt(mutate(bytes, seededRandom(seed)), `mutation ${seed}`);
        }),
        { numRuns: 300, seed: 7 },
      );
    });
  });

describe("files that ask for too much", () => {
  const message = (bytes: Uint8Array) => attempt(bytes, "bomb")?.message;
  const model = (tensors: BuiltTensor[]) =>
    buildTflite({
      tensors,
      operators: [{ op: "RELU", inputs: [0], outputs: [1] }],
      inputs: [0],
      outputs: [1],
    });

  it("rejects products of sizes that overflow", () => {
    for (const shape of [
      [1, 65536, 65536, 65536],
      [1, 2 ** 31 - 1, 2 ** 31 - 1],
      [2 ** 30, 0, 2 ** 30],
    ])
      expect(message(model([{ shape }, { shape }]))).toContain("at most 268435456 elements");
  });

  it("rejects negative sizes and more than six dimensions", () => {
    expect(message(model([{ shape: [1, -1] }, { shape: [1, -1] }]))).toContain("expected sizes from 0");
    const shape = [1, 1, 1, 1, 1, 1, 1];
    expect(message(model([{ shape }, { shape }]))).toContain("7 dimensions");
  });

  it("rejects one large vector shared by all tensors before it fills memory", () => {
    const bytes = model([{ shape: [1, 4] }, { shape: [1, 4] }]);
    const shared = repeatTensors(bytes, 50_000, 200_000);
    expect(message(shared)).toContain("vectors that are not shared many times over");
  });

  it("rejects more tensors than any model has", () =>
    expect(message(repeatTensors(model([{ shape: [1, 4] }, { shape: [1, 4] }]), 100_001, 0))).toContain(
      "expected at most 100000",
    ));
});

/** Position of field `id` of the table at `table`. */
function fieldAt(view: DataView, table: number, id: number): number {
  const vtable = table - view.getInt32(table, true);
  return table + view.getUint16(vtable + 4 + 2 * id, true);
}

/** The file with `count` tensors that are one table, whose shape is a vector of `sizes` ones; both lie behind the rest. */
function repeatTensors(bytes: Uint8Array, count: number, sizes: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const target = (at: number) => at + view.getUint32(at, true);
  const tensors = fieldAt(view, target(target(fieldAt(view, target(0), 2)) + 4), 0);
  const tensor = target(target(tensors) + 4);
  const vtable = tensor - view.getInt32(tensor, true);
  const tableBytes = view.getUint16(vtable + 2, true);
  const list = (bytes.length + 3) & ~3;
  const copy = list + 4 + 4 * count;
  const shape = (copy + tableBytes + 3) & ~3;
  const grown = new Uint8Array(shape + 4 + 4 * sizes);
  grown.set(bytes);
  grown.set(bytes.subarray(tensor, tensor + tableBytes), copy);
  const out = new DataView(grown.buffer);
  const point = (at: number, to: number) => out.setUint32(at, to - at, true);
  point(tensors, list);
  out.setUint32(list, count, true);
  for (let i = 1; i <= count; i++) point(list + 4 * i, copy);
  out.setInt32(copy, copy - vtable, true);
  point(fieldAt(out, copy, 0), shape);
  // A name that is read before the shape: the same vector, cut by its own length.
  point(fieldAt(out, copy, 3), shape);
  out.setUint32(shape, sizes, true);
  for (let i = 1; i <= sizes; i++) out.setUint32(shape + 4 * i, 1, true);
  return grown;
}
