/** site.json, which build.mjs writes beside the page: what the page knows before anything is chosen. */
import type { Profile } from "../profile/schema.ts";

export interface Site {
  versions: Record<string, string>;
  profiles: Profile[];
}

/** @throws Error naming the file. */
export async function fetched(url: string): Promise<Response> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: expected a file beside the page, got status ${response.status}`);
  return response;
}
