/** The page's side of the worker. */
import type { AuditEvent, Reply, ServiceName, Services, Start } from "./protocol.ts";

/** Why nothing came of it: the user stopped it. */
export class Cancelled extends Error {
  override name = "Cancelled";
}

/** The id of what no question asked for: the worker could not be loaded. */
const NO_ONE = 0;

interface Waiting {
  resolve(output: unknown): void;
  reject(error: Error): void;
  event(event: AuditEvent): void;
}

/**
 * One worker at a time, started when it is first asked. It is started from a blob, because such a worker is under the page's own
 * Content-Security-Policy; one from a file would be under none on a server that sends none.
 */
export class Client {
  readonly #base: string;
  /** Finished steps of any worker: a worker that is stopped takes nothing with it. */
  readonly #kept = new Map<string, Uint8Array>();
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #ids = NO_ONE;

  /** base: the folder of worker.js, with the final slash. */
  constructor(base: string) {
    this.#base = base;
  }

  /** @throws Error with one line; Cancelled. */
  ask<Name extends ServiceName>(
    name: Name,
    input: Services[Name]["input"],
    event: (event: AuditEvent) => void = () => {},
  ): Promise<Services[Name]["output"]> {
    const id = ++this.#ids;
    this.warm();
    this.#worker!.postMessage({ id, name, input });
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as Waiting["resolve"], reject, event });
    });
  }

  /** Loads the worker before anything is asked of it. */
  warm(): void {
    this.#worker ??= this.#start();
  }

  /** Stops whatever runs. What it had finished is not done again. */
  cancel(): void {
    this.#end(new Cancelled("cancelled"));
  }

  #end(why: Error): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#fail(why);
  }

  #start(): Worker {
    const script = `import(${JSON.stringify(`${this.#base}worker.js`)}).catch((error) => postMessage({ id: ${NO_ONE}, error: error.message }));
const early = [];
onmessage = ({ data }) => early.push(data);
globalThis.early = early;`;
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const worker = new Worker(url, { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#hear(data);
    worker.onerror = ({ message }) =>
      this.#end(new Error(`The worker stopped: ${message || "out of memory?"}`));
    const start: Start = { base: this.#base, kept: [...this.#kept] };
    worker.postMessage(start);
    return worker;
  }

  #hear(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    if ("event" in reply) {
      if (reply.event.kind === "kept") this.#kept.set(reply.event.name, reply.event.bytes);
      else waiting?.event(reply.event);
      return;
    }
    this.#waiting.delete(reply.id);
    if ("error" in reply && reply.id === NO_ONE) this.#fail(new Error(reply.error));
    else if ("error" in reply) waiting?.reject(new Error(reply.error));
    else waiting?.resolve(reply.output);
  }

  #fail(error: Error): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of all) reject(error);
  }
}
