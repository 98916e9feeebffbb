/** Chromium as Debian packages it, without a window. */
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, chromium } from "playwright-core";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];

/** Null where there is none. */
export const CHROMIUM = [process.env.CHROMIUM_PATH ?? "", ...PATHS].find(existsSync) ?? null;
export const HOW_TO_INSTALL = "no Chromium: apt-get install chromium, or set CHROMIUM_PATH";

export function startChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM!, args: ARGS });
}

export interface Site {
  url: string;
  stop(): Promise<void>;
}

/** Serves files by path, to pages that may load nothing from elsewhere and make no code from text. */
export async function serveFiles(
  files: Record<string, { type: string; body: string | Uint8Array }>,
): Promise<Site> {
  const policy =
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src data:";
  const server = createServer((request, response) => {
    const file = files[request.url ?? ""];
    response.writeHead(file ? 200 : 404, {
      "content-type": file?.type ?? "text/plain",
      "content-security-policy": policy,
    });
    response.end(file?.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
