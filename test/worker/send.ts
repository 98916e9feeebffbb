import { type Agent, request } from "node:http";
import type { Message } from "./malformed.ts";

export interface Reply {
  status: number;
  type: string;
  text: string;
}

/** One message with whatever head and body it has, on the agent's connection; without one, on a connection of its own. */
export function send(
  url: URL,
  { method, path, headers, body, slow }: Message,
  agent: Agent | false = false,
): Promise<Reply> {
  const chunked = headers["transfer-encoding"] === "chunked";
  const length =
    chunked || headers["content-length"] || slow || !body ? {} : { "content-length": String(body.length) };
  const given = Object.fromEntries(
    Object.entries({ ...length, ...headers }).filter(([, value]) => value !== ""),
  );
  return new Promise((resolve, reject) => {
    let replied = false;
    const asked = request(new URL(path, url), { method, headers: given, agent }, (response) => {
      replied = true;
      const chunks: Buffer[] = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        if (!agent) asked.destroy();
        const type = response.headers["content-type"] ?? "";
        resolve({ status: response.statusCode!, type, text: Buffer.concat(chunks).toString() });
      });
    });
    asked.on("error", (error) => {
      // A refused body may break the connection after the answer has been read.
      if (replied) return;
      // A connection that was kept may have been closed as idle while this was on its way.
      if (asked.reusedSocket) resolve(send(url, { method, path, headers, body, slow }, agent));
      else reject(error);
    });
    if (body) asked.write(body);
    if (!slow) asked.end();
  });
}
