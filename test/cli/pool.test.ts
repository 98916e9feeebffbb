import { describe, expect, it, onTestFinished } from "vitest";
import { startPool, startThreads, type Work } from "../../src/cli/pool.ts";
import type { Errand } from "./poolThread.fixture.ts";

interface Done {
  thread: number;
  did: string[];
}

const THREAD = new URL("./poolThread.fixture.ts", import.meta.url);

const WORK: Work<Errand> = {
  data: "data",
  identity: async ({ name }) => name,
  affinity: async ({ name, affinity }) => affinity ?? name,
  before: ({ before = [] }) => before,
  title: ({ name }) => name,
  cost: ({ cost = 1 }) => cost,
};

function pool(threads: number) {
  const task = { advance: () => {}, end: () => {} };
  const began: string[] = [];
  const meter = {
    expect: () => {},
    begin: (title: string) => {
      began.push(title);
      return task;
    },
    stop: () => {},
  };
  const started = startPool(WORK, startThreads(THREAD, threads), meter);
  onTestFinished(() => started.close());
  return { began, execute: started.execute as (steps: Errand[]) => Promise<Done[]> };
}

describe("a pool of threads", () => {
  it("gives results in the order of the steps, and does the dearest first", async () => {
    const { began, execute } = pool(1);
    const results = await execute([{ name: "a" }, { name: "b", cost: 3 }, { name: "c", cost: 2 }]);
    expect(results.map(({ did }) => did.at(-1))).toEqual(["a", "b", "c"]);
    expect(began).toEqual(["b", "c", "a"]);
  });

  it("does steps of one identity once, also when they are asked for again", async () => {
    const { began, execute } = pool(2);
    const [first, second] = await execute([{ name: "a" }, { name: "a" }]);
    const [third] = await execute([{ name: "a" }]);
    expect([second, third]).toEqual([first, first]);
    expect(began).toEqual(["a"]);
  });

  it("keeps steps of one affinity on one thread, in their order", async () => {
    const steps = ["a", "b", "c", "d", "e", "f"].map((name, i) => ({ name, affinity: `${i % 2}` }));
    const results = await pool(2).execute(steps);
    for (const own of [0, 1]) {
      const group = results.filter((_, i) => i % 2 === own);
      expect(new Set(group.map(({ thread }) => thread)).size).toBe(1);
      const order = group[2].did.filter((name) =>
        steps.some((s) => s.name === name && s.affinity === `${own}`),
      );
      expect(order).toEqual(steps.filter(({ affinity }) => affinity === `${own}`).map(({ name }) => name));
    }
  });

  it("does what a step needs before it, once for all who need it", async () => {
    const { began, execute } = pool(2);
    const before = [{ name: "p" }, { name: "q" }];
    await execute([
      { name: "a", before, cost: 9 },
      { name: "b", before, cost: 9 },
    ]);
    expect(began.slice(0, 2).sort()).toEqual(["p", "q"]);
    expect(began.slice(2).sort()).toEqual(["a", "b"]);
  });

  it("begins with what the dearest chain of steps needs", async () => {
    const { began, execute } = pool(1);
    await execute([
      { name: "alone", cost: 4 },
      { name: "a", cost: 2, before: [{ name: "p" }] },
      { name: "b", cost: 9, before: [{ name: "q" }] },
    ]);
    expect(began.filter((name) => ["alone", "p", "q"].includes(name))).toEqual(["q", "alone", "p"]);
  });

  it("fails with the error of a step, and of one that it needed", async () => {
    await expect(pool(1).execute([{ name: "a", fails: true }])).rejects.toThrow(new RangeError("a failed"));
    const needed = [{ name: "a", before: [{ name: "p", fails: true }] }];
    await expect(pool(1).execute(needed)).rejects.toThrow(new RangeError("p failed"));
  });
});
