/** The worker: everything that computes. Started by client.ts. */
import { parsePolicy } from "../harness/audit/policy.ts";
import { auditRequest } from "./audit.ts";
import { inspectImages, inspectModelFile } from "./inspect.ts";
import { platformOf } from "./platform.ts";
import type { Asked, AuditEvent, Reply, ServiceName, Services, Start } from "./protocol.ts";

interface Scope {
  /** What came before this module was there. */
  early: (Start | Asked)[];
  onmessage: (message: { data: Start | Asked }) => void;
  postMessage(reply: Reply): void;
}
const scope = globalThis as unknown as Scope;

type Service<Name extends ServiceName> = (
  input: Services[Name]["input"],
  tell: (event: AuditEvent) => void,
) => Promise<Services[Name]["output"]>;

function servicesOf({ base, kept }: Start): { [Name in ServiceName]: Service<Name> } {
  const platform = platformOf(base, new Map(kept));
  return {
    policy: async ({ name, text }) => {
      parsePolicy(text, name);
      return null;
    },
    inspect: async ({ model }) => inspectModelFile(model),
    images: ({ source, classes }) => inspectImages(source, classes),
    audit: (request, tell) => auditRequest(request, platform, tell),
  };
}

let services: ReturnType<typeof servicesOf>;
/** One after another: a question waits for the answer to the one before. */
let last: Promise<void> = Promise.resolve();

function hear(message: Start | Asked): void {
  if ("base" in message) services = servicesOf(message);
  else last = last.then(() => answer(message));
}

async function answer({ id, name, input }: Asked): Promise<void> {
  const tell = (event: AuditEvent) => scope.postMessage({ id, event });
  try {
    const output = await (services[name] as Service<ServiceName>)(input, tell);
    scope.postMessage({ id, output });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    scope.postMessage({ id, error: message.replaceAll(/\s*\n\s*/g, " ") });
  }
}

scope.onmessage = ({ data }) => hear(data);
for (const message of scope.early.splice(0)) hear(message);
