import { createReadStream } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { integerOption, tell, UsageError } from "../io.ts";
import { ROOT } from "../package.ts";

/** All that the page's folder has. */
const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".blindspot": "application/octet-stream",
};

const HEADERS = {
  "X-Content-Type-Options": "nosniff",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "Cache-Control": "no-cache",
};

interface Options {
  port: number;
  host: string;
}

export function add(program: Command): void {
  program
    .command("serve")
    .description("the page: audit a model in a browser; nothing leaves this machine")
    .option("--port <number>", "0: any that is free", integerOption("--port", 0, 65535), 4173)
    .option("--host <address>", "to listen on; by default this machine alone", "127.0.0.1")
    .action(serve);
}

async function serve({ port, host }: Options): Promise<void> {
  const folder = fileURLToPath(new URL("dist/web/", ROOT));
  await access(join(folder, "index.html")).catch(() => {
    throw new UsageError(`${folder}: expected the page, got none (node build.mjs web makes it)`);
  });
  const server = await listening(createServer(pageHandler(await realpath(folder))), port, host);
  const { address, family, port: taken } = server.address() as AddressInfo;
  tell(`http://${family === "IPv6" ? `[${address}]` : address}:${taken}/ (Ctrl-C stops it)`);
}

function listening(server: Server, port: number, host: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    server.once("error", ({ code, message }: NodeJS.ErrnoException) => {
      const got = { EADDRINUSE: "a port in use (try --port 0)", EACCES: "no permission" }[code ?? ""];
      reject(new UsageError(`${host}:${port}: expected a free port, got ${got ?? message}`));
    });
    server.listen(port, host, () => resolve(server));
  });
}

/** Serves the files of a folder, by its real path; GET and HEAD alone, nothing from outside of it, no listing. */
export function pageHandler(folder: string) {
  return async ({ method, url }: IncomingMessage, response: ServerResponse): Promise<void> => {
    const end = (status: number, headers: Record<string, string> = {}) => {
      response.writeHead(status, { ...HEADERS, "Content-Type": "text/plain; charset=utf-8", ...headers });
      response.end(method === "HEAD" ? undefined : `${status}\n`);
    };
    if (method !== "GET" && method !== "HEAD") return end(405, { Allow: "GET, HEAD" });
    const path = await fileIn(folder, url ?? "/");
    const type = path && TYPES[extname(path)];
    if (!path || !type) return end(404);
    const { size } = await stat(path);
    response.writeHead(200, { ...HEADERS, "Content-Type": type, "Content-Length": size });
    if (method === "HEAD") return void response.end();
    createReadStream(path)
      .on("error", () => response.destroy())
      .pipe(response);
  };
}

/** The file that a request names, or null: no such file, or one outside of the folder (by .. or a link). */
async function fileIn(folder: string, url: string): Promise<string | null> {
  try {
    const name = decodeURIComponent(url.split(/[?#]/)[0]);
    if (name.includes("\0")) return null;
    const path = await realpath(join(folder, name.endsWith("/") ? `${name}index.html` : name));
    return path.startsWith(folder + sep) && (await stat(path)).isFile() ? path : null;
  } catch {
    return null;
  }
}
