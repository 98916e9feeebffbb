/** Blindspot behind HTTP, for Workers runtimes and whatever else has fetch's Request and Response. */
import type { Profile } from "../profile/schema.ts";
import { failed, HttpError, json } from "./answer.ts";
import { readForm, Waiting } from "./body.ts";
import { defend } from "./defend.ts";
import { Engine } from "./engine.ts";
import { LIMITS, type Limits } from "./limits.ts";
import type { ModelStore } from "./models.ts";
import { run } from "./run.ts";
import type { Site } from "./site.ts";
import { checkToken } from "./token.ts";

export { LIMITS, type Limits } from "./limits.ts";
export { type Assets, type Bucket, type ModelStore, modelsInAssets, modelsInBucket } from "./models.ts";

export interface HandlerOptions<Env> {
  /** `import kernels from "blindspot/kernels.simd.wasm"`. */
  kernels: WebAssembly.Module;
  /** `import { profiles } from "blindspot/profiles"`, or some of them, or others. */
  profiles: readonly Profile[];
  /** Where models are found by name; without it a request must bring its own. */
  models?: (env: Env) => ModelStore;
  /** A secret that every request must bear; without it, everybody may ask. */
  token?: (env: Env) => string | undefined;
  /** The one origin whose pages may ask; without it none may. */
  origin?: string;
  limits?: Partial<Limits>;
}

type Handler<Env> = (request: Request, env: Env) => Promise<Response>;
type Method = "GET" | "POST";

/** A fetch handler: GET /profiles, POST /run, POST /defend. Any bad input is a 4xx with one line of JSON. */
export function createHandler<Env = unknown>(options: HandlerOptions<Env>): Handler<Env> {
  const limits = { ...LIMITS, ...options.limits };
  const engine = new Engine(options.kernels, limits.memoryBytes);
  const waiting = new Waiting(limits.waitingBytes);
  const withForm =
    (work: (site: Site) => Promise<Response>): Handler<Env> =>
    async (request, env) => {
      const { form, done } = await readForm(request, limits, waiting);
      const { profiles, models } = options;
      return work({ form, limits, engine, profiles, models: models?.(env), done }).catch((error) => {
        done();
        throw error;
      });
    };
  const routes: Record<string, Partial<Record<Method, Handler<Env>>>> = {
    "/profiles": { GET: async () => json(options.profiles.map(summary)) },
    "/run": { POST: withForm(run) },
    "/defend": { POST: withForm(defend) },
  };
  const answer: Handler<Env> = async (request, env) => {
    if (options.token) await checkToken(request, options.token(env) ?? "");
    const route = Object.entries(routes).find(([path]) => path === new URL(request.url).pathname)?.[1];
    if (!route) throw new HttpError(404, `expected ${Object.keys(routes).join(", ")}`);
    const handler = route[request.method as Method];
    const allowed = Object.keys(route).join(", ");
    if (!handler) throw new HttpError(405, `expected ${allowed}`, { allow: allowed });
    return handler(request, env);
  };
  return async (request, env) => {
    const cors = corsHeaders(options.origin);
    if (options.origin && request.method === "OPTIONS")
      return new Response(null, { status: 204, headers: cors });
    const response = await answer(request, env).catch(failed);
    for (const [name, value] of Object.entries(cors)) response.headers.set(name, value);
    return response;
  };
}

function corsHeaders(origin: string | undefined): Record<string, string> {
  if (!origin) return {};
  return {
    "access-control-allow-origin": origin,
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization, content-type",
    vary: "origin",
  };
}

function summary({ id, title, family, access }: Profile) {
  return { id, title, family, access: { level: access.level, why: access.why } };
}
