import { expect, it } from "vitest";
import { underLoad } from "./load.ts";

/** `node test/worker/load.ts` does the same with 2,000 and 500 and prints what workerd holds. */
it("serves 200 good requests from 16 connections, none lost and none wrong, and refuses 60 bad ones between good ones", async () => {
  const { lost, wrong, misjudged } = await underLoad({ good: 200, connections: 16, bad: 60, say: () => {} });
  expect({ lost, wrong, misjudged }).toEqual({ lost: 0, wrong: 0, misjudged: [] });
});
