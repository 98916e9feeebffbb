import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { digestOfRun } from "./digest.ts";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

test("two threads at once, and another process, compute the same bytes", async () => {
  const node = path("../../node_modules/.bin/node");
  const { stdout } = await promisify(execFile)(node, [path("./threads.fixture.ts")]);
  const here = await digestOfRun();
  expect(JSON.parse(stdout)).toEqual([here, here]);
});
