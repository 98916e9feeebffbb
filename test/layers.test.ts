import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const SRC = fileURLToPath(new URL("../src/", import.meta.url));

/** Each folder may use those of earlier rows, and those beside it in its own row only where `BESIDE` says so. */
const LAYERS = [
  ["errors.ts", "random.ts", "elementary.ts", "zod.ts"],
  ["kernels"],
  ["profile"],
  ["model"],
  ["quantize", "import", "float", "export"],
  ["data", "attacks", "defenses"],
  ["harness"],
  ["report", "cli", "web", "worker", "index.ts", "audit.ts"],
];
/** profile: kernels need none of it; attacks stamp data; defenses read both; float trains on images; the CLI draws reports. */
const BESIDE = new Set([
  "attacks>data",
  "defenses>data",
  "defenses>attacks",
  "cli>report",
  "web>report",
  "audit.ts>report",
  "export>import",
]);
/** Types of what the float side trains on and is asked by. */
const TYPES_ONLY = new Set(["float>data", "float>attacks", "float>defenses", "report>defenses"]);

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
const layerOf = (path: string) => LAYERS.findIndex((row) => row.includes(path.split("/")[0]));

interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), "utf8");
  return [...text.matchAll(/^(import|export)( type)? [^;]*?from "(\.[^"]+)"/gm)].map(([, , type, path]) => ({
    from: file,
    to: normalize(join(dirname(file), path)),
    typeOnly: type !== undefined,
  }));
}

describe("the layers of src", () => {
  it("name every folder", () => expect(files.filter((file) => layerOf(file) < 0)).toEqual([]));

  it("are used from above only", () => {
    const wrong = files.flatMap(importsOf).filter(({ from, to, typeOnly }) => {
      if (to.startsWith("..")) return !from.startsWith("cli/");
      const [user, used] = [from.split("/")[0], to.split("/")[0]];
      if (user === used || layerOf(to) < layerOf(from)) return false;
      return !BESIDE.has(`${user}>${used}`) && !(typeOnly && TYPES_ONLY.has(`${user}>${used}`));
    });
    expect(wrong).toEqual([]);
  });

  it("need no tfjs in a Worker, whose runtime cannot start it", () => {
    const reached = new Set(files.filter((file) => file.startsWith("worker/")));
    for (const file of reached)
      for (const { to, typeOnly } of importsOf(file)) if (!typeOnly) reached.add(to);
    expect([...reached].filter((file) => file.startsWith("float/"))).toEqual([]);
    expect(reached.has("harness/forwardSubject.ts")).toBe(true);
  });

  it("keep to the command line what only Node has", () => {
    const own = /from "node:|\b(process|Buffer|import\.meta)\.|\brequire\(|__dirname/;
    const users = files.filter((file) => own.test(readFileSync(join(SRC, file), "utf8")));
    expect(users.filter((file) => !file.startsWith("cli/"))).toEqual([]);
  });

  it("take zod from zod.ts, which forbids it to make code", () => {
    const users = files.filter((file) => /from "zod"/.test(readFileSync(join(SRC, file), "utf8")));
    expect(users).toEqual(["zod.ts"]);
  });

  it("compile no wasm from bytes and make no code from text, which a Workers runtime forbids", () => {
    const forbidden = /WebAssembly\.(compile|instantiateStreaming)|\beval\(|new Function\(/;
    const users = files.filter((file) => forbidden.test(readFileSync(join(SRC, file), "utf8")));
    expect(users.filter((file) => !/^(cli|web)\/|^audit\.ts$/.test(file))).toEqual([]);
  });

  /** Reports only draw. */
  it("take no function from Math whose last bit an engine is free to choose", () => {
    const free =
      /Math\.(exp|expm1|log|log2|log10|log1p|pow|sin|cos|tan|asin|acos|atan|atan2|sinh|cosh|tanh|cbrt|hypot)\(/;
    const users = files.filter((file) => free.test(readFileSync(join(SRC, file), "utf8")));
    expect(users.filter((file) => !/^(cli|report)\//.test(file))).toEqual([]);
  });

  it("never read a random number or the clock outside the command line and benchmarks", () => {
    const users = files.filter((file) =>
      /Math\.random|Date\.now|performance\.now\(\)/.test(readFileSync(join(SRC, file), "utf8")),
    );
    expect(users.filter((file) => !file.startsWith("cli/"))).toEqual([]);
  });
});
