import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verifyPath } from "../../src/cli/vectorPaths.ts";
import type { Line } from "../../src/cli/verbs/verify.ts";
import { DataError, ModelFormatError } from "../../src/errors.ts";

const file = (over: object = {}) =>
  JSON.stringify({
    kernel: "arm_nn_divide_by_power_of_two",
    rounding: "double",
    cases: [{ name: "two", dividend: [5, -5], exponent: [1, 1], result: [3, -3] }],
    ...over,
  });
const table = JSON.stringify({
  families: { ruy: {}, tarot: {} },
  rows: [
    {
      id: 7,
      acc: -3,
      scale: 0.5,
      multiplier: 2 ** 30,
      shift: 0,
      zero_point: 0,
      results: { ruy: -1, tarot: 2 },
    },
  ],
});

async function linesOf(path: string): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of verifyPath(path)) lines.push(line);
  return lines;
}
const brief = ({ name, build, passed, failed, skipped }: Line) => [name, build, passed, failed, skipped];

describe("verify", () => {
  let root: string;
  const write = async (path: string, text: string) => {
    await mkdir(join(root, path, ".."), { recursive: true });
    await writeFile(join(root, path), text);
  };
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "blindspot-"));
    await write("all/b/right.json", file());
    await write("all/b/index.json", "{}");
    await write("all/b/notes.txt", "not vectors");
    await write("all/a/deep/table.json", table);
    await write("other/index.json", '{"cards": []}');
    await write(
      "wrong/wrong.json",
      file({ cases: [{ name: "n", dividend: [5], exponent: [1], result: [2] }] }),
    );
    await write("wrong/unknown.json", file({ kernel: "arm_svdf_s8" }));
    await write(
      "wrong/malformed.json",
      file({ cases: [{ name: "m", dividend: ["x"], exponent: [1], result: [2] }] }),
    );
    await write("cut/cut.json", '{"cases": [');
    await write("cut/row.json", '{"families": {}, "rows": [3]}');
  });
  afterAll(() => rm(root, { recursive: true }));

  it("goes through directories of directories, a line a family and build, and passes other files over", async () => {
    expect((await linesOf(join(root, "all"))).map(brief)).toEqual([
      ["table multiplier and shift", "simd", 1, 0, 0],
      ["table ruy", "simd", 1, 0, 0],
      ["table tarot", "both", 0, 0, 1],
      ["table multiplier and shift", "scalar", 1, 0, 0],
      ["table ruy", "scalar", 1, 0, 0],
      ["arm_nn_divide_by_power_of_two double", "simd", 1, 0, 0],
      ["arm_nn_divide_by_power_of_two double", "scalar", 1, 0, 0],
    ]);
  });

  it("tells a wrong value and a malformed case, and skips a kernel that is not here", async () => {
    const lines = (await linesOf(join(root, "wrong"))).filter(({ build }) => build === "simd");
    expect(lines.map(({ note }) => note)).toEqual([
      expect.stringContaining("dividend[0]: expected an integer in"),
      'no kernel here computes "arm_svdf_s8"',
      "n: 1 of 1 values differ, first at 0: expected 2, got 3",
    ]);
    expect(lines.map(brief)).toEqual([
      ["arm_nn_divide_by_power_of_two double", "simd", 0, 1, 0],
      ["arm_svdf_s8 double", "simd", 0, 0, 1],
      ["arm_nn_divide_by_power_of_two double", "simd", 0, 1, 0],
    ]);
  });

  it("refuses a directory without vectors, a file of another form and one that is cut off, which fails among others", async () => {
    await expect(linesOf(join(root, "other"))).rejects.toThrow(DataError);
    await expect(linesOf(join(root, "other/index.json"))).rejects.toThrow(ModelFormatError);
    await expect(linesOf(join(root, "cut/cut.json"))).rejects.toThrow("cut.json: expected JSON");
    const lines = await linesOf(join(root, "cut"));
    expect(lines.map(brief)).toEqual([
      ["cut.json", "both", 0, 1, 0],
      ["row.json", "both", 0, 1, 0],
    ]);
    expect(lines[0].note).toContain("cut.json: expected JSON");
    expect(lines[1].note).toContain("row.json: rows[0]: expected an object");
    await expect(linesOf(join(root, "nowhere"))).rejects.toThrow("nothing there");
  });
});
