import { once } from "node:events";
import { parentPort } from "node:worker_threads";
import "./oldNode.ts";

/** Replies of a thread: first that it is up, then about the step it was given. */
export type Reply =
  | { kind: "ready" }
  | { kind: "progress"; share: number }
  | { kind: "done"; result: unknown }
  | { kind: "failed"; error: Error };

/** What a pool gives a thread to begin with. */
export async function threadData<Data>(): Promise<Data> {
  const [data] = await once(parentPort!, "message");
  return data;
}

/** Answers a pool: does each step that comes. */
export function serveSteps<Step>(
  run: (step: Step, progress: (done: number, total: number) => void) => Promise<unknown>,
): void {
  const port = parentPort!;
  const reply = (message: Reply) => port.postMessage(message);
  port.on("message", async (step: Step) => {
    try {
      let told = 0;
      const progress = (done: number, total: number) => {
        const share = done / total;
        if (share - told < 0.01) return;
        told = share;
        reply({ kind: "progress", share });
      };
      reply({ kind: "done", result: await run(step, progress) });
    } catch (error) {
      reply({ kind: "failed", error: error as Error });
    }
  });
  reply({ kind: "ready" });
}
