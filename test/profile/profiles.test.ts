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
    it(`${name} is valid as it stands and bears the name of its file`, () => {
      expect(`${parseProfile(read(name), name).id}.json`).toBe(name);
      expect(parseProfile(read(name), name)).toEqual(JSON.parse(read(name)));
    });

  it("no two have one title, and each says where every figure is from", () => {
    const profiles = names.map((name) => parseProfile(read(name), name));
    expect(new Set(profiles.map(({ title }) => title)).size).toBe(profiles.length);
    const walk = (value: unknown, path: string): void => {
      if (value === null || typeof value !== "object") return;
      if ("value" in value) expect(value, path).toHaveProperty("source");
      for (const [key, inner] of Object.entries(value)) walk(inner, `${path}.${key}`);
    };
    for (const profile of profiles) walk(profile, profile.id);
  });

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
    [
      "of an unknown quirk",
      good.replace('"ops": {', '"quirks": ["cmsis-nn-d3"], "ops": {'),
      "x.json: arithmetic.quirks.0: expected cmsis-nn-d1 or cmsis-nn-d2 or",
    ],
    [
      "of a saturating accumulator of 32 bits",
      good.replace('"overflow": "wrap"', '"overflow": "saturate"'),
      "x.json: arithmetic.accumulator.bits: expected 20, got 32",
    ],
    [
      "of an unknown form",
      good.replace('"form": "half-away"', '"form": "half-down"'),
      'x.json: arithmetic.ops.AVERAGE_POOL_2D.form: expected half-away or truncate or half-up or half-even or reciprocal or dequantized, got "half-down"',
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
