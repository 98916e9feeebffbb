import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { profileJsonSchema } from "../../src/profile/jsonSchema.ts";
import { parseProfile } from "../../src/profile/parse.ts";
import { REQUANTIZERS } from "../../src/profile/schema.ts";

const directory = new URL("../../edge-profiles/", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, directory), "utf8");
const names = readdirSync(directory).filter(
  (name) => name.endsWith(".json") && name !== "profile.schema.json",
);

describe("the shipped profiles", () => {
  for (const name of names)
    it(`${name} is valid and bears the name of its file`, () =>
      expect(`${parseProfile(read(name), name).id}.json`).toBe(name));

  it("profile.schema.json is what the schema says now", () =>
    expect(JSON.parse(read("profile.schema.json"))).toEqual(JSON.parse(profileJsonSchema())));
});

describe("a faulty profile", () => {
  const good = read("ethos-u65.json");
  const cases: [string, string, string][] = [
    ["cut off", good.slice(0, 500), "x.json: expected JSON, got "],
    [
      "with a misspelt field",
      good.replace('"family"', '"famly"'),
      "x.json: expected only the fields of the schema, got unknown field famly",
    ],
    [
      "with an unknown field deep inside",
      good.replace('"bits": 32', '"bits": 32, "carry": true'),
      "x.json: expected only the fields of the schema, got unknown field arithmetic.accumulator.carry",
    ],
    [
      "of an unknown requantizer",
      good.replace('"requantizer": "tflite-double"', '"requantizer": "half"'),
      `x.json: arithmetic.ops.default.requantizer: expected ${REQUANTIZERS.join(" or ")}, got "half"`,
    ],
    [
      "with a negative clock",
      good.replace("1000000000", "-1"),
      "x.json: compute.clockHz.value: expected number to be >0, got -1",
    ],
    [
      "without a confidence",
      good.replace('"confidence": "source"', '"certainty": "source"'),
      "x.json: expected only the fields of the schema, got unknown field arithmetic.accumulator.certainty",
    ],
    ["that is a list", "[]", "x.json: expected object, got []"],
  ];
  for (const [what, text, message] of cases)
    it(`${what} is refused in one line that names the field`, () => {
      expect(text).not.toBe(good);
      expect(() => parseProfile(text, "x.json")).toThrow(message);
      expect(() => parseProfile(text, "x.json")).not.toThrow(/\n/);
    });
});
