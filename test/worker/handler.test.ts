import { describe, expect, it } from "vitest";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import type { Node } from "../../src/model/graph.ts";
import { Waiting } from "../../src/worker/body.ts";
import { readCursor, writeCursor } from "../../src/worker/cursor.ts";
import { createHandler, type HandlerOptions, modelsInAssets } from "../../src/worker/index.ts";
import { workOf } from "../../src/worker/limits.ts";
import { equalSecretly } from "../../src/worker/token.ts";
import { cnn } from "../cli/cnn.ts";
import { formOf } from "./client.ts";

const handler = async (options: Partial<HandlerOptions<unknown>>) => {
  const handle = createHandler({ kernels: await loadKernelModule(), profiles: [], ...options });
  return (path: string, init?: RequestInit) => handle(new Request(`http://here${path}`, init), {});
};

describe("a handler", () => {
  it("tells pages of other origins nothing unless one is named", async () => {
    const [closed, open] = [await handler({}), await handler({ origin: "https://page.example" })];
    const origin = "access-control-allow-origin";
    expect((await closed("/profiles")).headers.get(origin)).toBeNull();
    expect((await closed("/profiles", { method: "OPTIONS" })).status).toBe(405);
    expect((await open("/profiles")).headers.get(origin)).toBe("https://page.example");
    const preflight = await open("/run", { method: "OPTIONS" });
    expect([preflight.status, preflight.headers.get(origin)]).toEqual([204, "https://page.example"]);
  });

  it("lets in who bears the token, and nobody where it is empty", async () => {
    const ask = async (token: string | undefined, given: string) =>
      (await (await handler({ token: () => token }))("/profiles", { headers: { authorization: given } }))
        .status;
    expect(await ask("secret", "Bearer secret")).toBe(200);
    expect(await ask("secret", "Bearer secret ")).toBe(200);
    for (const given of ["Bearer secre", "Bearer secret2", "Basic secret", "secret", ""])
      expect(await ask("secret", given)).toBe(401);
    for (const token of ["", undefined]) expect(await ask(token, "Bearer ")).toBe(401);
  });

  it("says nothing of a failure that nobody foresaw", async () => {
    const models = () => ({ get: () => Promise.reject(new Error("/etc/secret: EACCES at 10.0.0.1")) });
    const profiles = [{ id: "p" }] as unknown as HandlerOptions<unknown>["profiles"];
    const form = formOf({ profile: "p", model: "m", input: new Uint8Array(1) });
    const response = await (await handler({ models, profiles }))("/run", { method: "POST", body: form });
    expect([response.status, await response.text()]).toEqual([500, '{"error":"internal error"}\n']);
  });
});

describe("the work of a model", () => {
  const shapes = ([height, width, depth]: number[]) => ({
    name: "",
    shape: [1, height, width, depth],
    dtype: "int8" as const,
  });
  const one = (node: object, ...sizes: number[][]) =>
    workOf({ name: "", tensors: sizes.map(shapes), nodes: [node as Node], inputs: [0], outputs: [1] });

  it("is its multiply-accumulates, its values and the taps of its pools", () => {
    const ends = { inputs: [0], outputs: [1], name: "" };
    expect(one({ ...ends, op: "RELU", attributes: {} }, [4, 4, 3], [4, 4, 3])).toBe(8 * 96);
    expect(one({ ...ends, op: "SOFTMAX", attributes: { beta: 1 } }, [1, 1, 10], [1, 1, 10])).toBe(128 * 20);
    const pool = { filterHeight: 3, filterWidth: 2 };
    expect(one({ ...ends, op: "MAX_POOL_2D", attributes: pool }, [4, 4, 3], [2, 2, 3])).toBe(
      8 * 60 + 2 * 6 * 12,
    );
    const dense = cnn(8, 3).int8.nodes.findLast(({ op }) => op === "FULLY_CONNECTED")!;
    const depth = cnn(8, 3).int8.tensors[dense.inputs[1]].shape[1];
    expect(workOf({ ...cnn(8, 3).int8, nodes: [dense] })).toBe(3 * depth + 8 * (depth + 3));
  });
});

describe("models among assets", () => {
  const store = (response: () => Response) => modelsInAssets({ fetch: async () => response() });

  it("are read by name, none where there is none, and never more than allowed", async () => {
    expect(await store(() => new Response("abc")).get("m", 10)).toEqual(new TextEncoder().encode("abc"));
    expect(await store(() => new Response("", { status: 404 })).get("m", 10)).toBeNull();
    const large = () => new Response("abc", { headers: { "content-length": "11" } });
    await expect(store(large).get("m", 10)).rejects.toThrow(RangeError);
  });
});

describe("requests that wait", () => {
  it("are refused beyond the bytes that may be held, until others are done", () => {
    const waiting = new Waiting(100);
    waiting.take(60);
    expect(() => waiting.take(41)).toThrow("come again");
    waiting.give(60);
    waiting.take(100);
  });
});

describe("a cursor", () => {
  const answers = Float32Array.from({ length: 1000 }, (_, i) => Math.fround(i / 7));

  it("gives back what was put in", async () => {
    expect(await readCursor("a", await writeCursor("a", answers), 1000)).toEqual(answers);
    expect(await readCursor("a", await writeCursor("a", new Float32Array(0)), 0)).toEqual(
      new Float32Array(0),
    );
  });

  it("is refused with one letter changed, cut, for another request or with too many answers", async () => {
    const cursor = await writeCursor("a", answers);
    const spoilt = [0, 10, 60, 200].map((at) => {
      const letter = cursor[at] === "x" ? "y" : "x";
      return cursor.slice(0, at) + letter + cursor.slice(at + 1);
    });
    for (const bad of [...spoilt, cursor.slice(0, -6), cursor.slice(0, 10), ""])
      await expect(readCursor("a", bad, 1000)).rejects.toThrow("expected one that was given here");
    await expect(readCursor("b", cursor, 1000)).rejects.toThrow("expected one that was given here");
    await expect(readCursor("a", cursor, 999)).rejects.toThrow("expected one that was given here");
  });
});

describe("equalSecretly", () => {
  it("compares whole texts", async () => {
    expect(await equalSecretly("abc", "abc")).toBe(true);
    for (const other of ["abd", "ab", "abcd", ""]) expect(await equalSecretly("abc", other)).toBe(false);
  });
});
