import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Block, PARAMS } from "../../src/kernels/params.ts";
import { FORMS } from "../../src/kernels/requantizers.ts";

const source = (name: string) => readFileSync(new URL(`../../assembly/${name}.ts`, import.meta.url), "utf8");

/** Fields of every class of the params.ts files in memory order, those of its base first. */
function assemblyBlocks(): Record<string, string[]> {
  const blocks: Record<string, string[]> = {};
  for (const [, name, base, body] of (source("params") + source("float/params")).matchAll(
    /export class (\w+)(?: extends (\w+))? \{([^}]*)\}/g,
  )) {
    const fields = [...body.matchAll(/^ {2}(\w+): (?:i32|usize);$/gm)].map((match) => match[1]);
    expect(fields.length, name).toBe(body.trim().split("\n").length);
    blocks[name] = [...(base ? blocks[base] : []), ...fields];
  }
  return blocks;
}

test.each(Object.keys(PARAMS) as Block[])("block %s has the same fields on both sides", (block) => {
  expect(PARAMS[block]).toEqual(assemblyBlocks()[block]);
});

test("every block that a kernel reads is listed in TypeScript", () => {
  const bases = ["Operands", "Packed", "Elementwise", "PoolWindow"];
  expect(
    Object.keys(assemblyBlocks())
      .filter((name) => !bases.includes(name))
      .sort(),
  ).toEqual(Object.keys(PARAMS).sort());
});

test("requantizer forms have the kernels' numbers", () => {
  const text = source("lanes") + source("rounding");
  const constant = (name: string) => Number(text.match(new RegExp(`const ${name}: i32 = (\\d+);`))?.[1]);
  const number = (name: string) => name.split("+").reduce((sum, part) => sum + constant(part), 0);
  const fixed = ["DOUBLE", "SINGLE"].flatMap((name) => [`${name}_ALIGNED`, `${name}_WIDE`, `${name}_EXACT`]);
  const rare = [
    "NEON_DOUBLE",
    "HALF_AWAY",
    "HALF_EVEN",
    "TOWARD_ZERO",
    "FLOOR_NUDGE",
    "SIXTEEN_BIT",
    "WRAP_SIXTEEN",
    "CARRY_SHIFT",
    "FLOAT_UP",
  ];
  const names = [...fixed, "FLOAT_EVEN", ...rare.flatMap((name) => [`${name}+VECTOR`, name]), "NONE"];
  expect(FORMS.map((form) => form.id)).toEqual(names.map(number));
});
