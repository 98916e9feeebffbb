import { HttpError } from "./answer.ts";

async function digestOf(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

/** Whether two texts are equal, in a time that tells nothing of where they differ: their digests are compared, all of them. */
export async function equalSecretly(a: string, b: string): Promise<boolean> {
  const [left, right] = await Promise.all([digestOf(a), digestOf(b)]);
  return left.reduce((difference, byte, i) => difference | (byte ^ right[i]), 0) === 0;
}

/** @throws HttpError 401 unless the request bears `Authorization: Bearer <token>`; an empty token lets nobody in. */
export async function checkToken(request: Request, token: string): Promise<void> {
  const given = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
  const equal = await equalSecretly(given, token);
  if (token === "" || !equal)
    throw new HttpError(401, "expected a bearer token that is right", { "www-authenticate": "Bearer" });
}
