/** What a test does with the page. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { startChromium } from "../runtimes/chromium.ts";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** Sums layout shifts that no input caused, as a page's CLS does. */
const WATCH_SHIFTS = `
  globalThis.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries())
      if (!hadRecentInput) shifts.push([value, ...sources.map(({ node }) => node?.id || node?.nodeName)]);
  }).observe({ type: "layout-shift", buffered: true });`;

export interface Opened {
  page: Page;
  /** Everything that the console, a thrown error or a failed request said. */
  complaints: string[];
  /** Of every request. */
  urls: string[];
  close(): Promise<void>;
}

/** A browser of its own, with the page ready. */
export async function open(url: string, options: BrowserContextOptions = {}): Promise<Opened> {
  const browser: Browser = await startChromium();
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const [complaints, urls]: string[][] = [[], []];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("requestfailed", (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on("request", (request) => urls.push(request.url()));
  await page.addInitScript(WATCH_SHIFTS);
  await page.goto(url);
  await page.waitForSelector("body[data-ready]");
  return { page, complaints, urls, close: () => browser.close() };
}

/** Drops files and folders of this machine in the middle of the window, as a hand would. */
export async function drop(page: Page, ...files: string[]): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await session.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
}

/** The one line that says what is wrong with what was chosen. */
export async function faultLine(page: Page): Promise<string> {
  await page.waitForSelector("#fault:not([hidden])");
  return (await page.textContent("#fault-line"))!;
}

export async function chooseDevices(page: Page, ...ids: string[]): Promise<void> {
  for (const box of await page.locator("#profiles input").all())
    await box.setChecked(ids.includes((await box.getAttribute("value"))!));
}

/** Presses Audit and gives the verdict. */
export async function audited(page: Page): Promise<string> {
  await page.click("#run");
  await finished(page);
  return page.innerText("#answer");
}

export const finished = (page: Page): Promise<unknown> =>
  page.waitForSelector("#verdict[data-state=ship], #verdict[data-state=stop], #verdict[data-state=failed]");

export async function downloaded(page: Page, button: string): Promise<Buffer> {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
  return readFile(await download.path());
}

/** What axe calls serious or critical: the rule, and where. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  // By the debugger, which the page's security policy does not bind.
  await page.evaluate(await readFile(AXE, "utf8"));
  const found = (await page.evaluate(
    "axe.run(document).then(({ violations }) => violations.map(({ id, impact, nodes }) => [impact, id, nodes.map(({ html }) => html.slice(0, 90))]))",
  )) as [string, string, string[]][];
  return found
    .filter(([impact]) => impact === "serious" || impact === "critical")
    .map(([, id, nodes]) => `${id}: ${nodes.join(" | ")}`);
}

/** Cumulative layout shift, and what shifted. */
export async function layoutShift(page: Page): Promise<{ total: number; shifts: unknown[] }> {
  const shifts = (await page.evaluate("shifts")) as [number, ...string[]][];
  return { total: shifts.reduce((sum, [value]) => sum + value, 0), shifts };
}

/** Where two files part, with what stands there in each; null where they are equal. */
export function firstDifference(got: Buffer, expected: Buffer): string | null {
  if (got.equals(expected)) return null;
  const at = got.findIndex((byte, i) => byte !== expected[i]);
  const around = (file: Buffer) => file.subarray(Math.max(0, at - 60), at + 60).toString();
  return `byte ${at}: ${around(got)} | ${around(expected)}`;
}
