/** Where a Worker finds models by name. */
export interface ModelStore {
  /** The file's bytes, null where there is none of this name. bytes: more are not read. */
  get(name: string, bytes: number): Promise<Uint8Array | null>;
}

/** What is used of an R2 bucket's binding. */
export interface Bucket {
  get(key: string): Promise<{ size: number; arrayBuffer(): Promise<ArrayBuffer> } | null>;
}

/** What is used of a binding to static assets. */
export interface Assets {
  fetch(url: string): Promise<Response>;
}

/** Models in an R2 bucket, by key. @throws RangeError for a larger file. */
export function modelsInBucket(bucket: Bucket): ModelStore {
  return {
    get: async (name, bytes) => {
      const found = await bucket.get(name);
      if (!found) return null;
      if (found.size > bytes) throw new RangeError(`${name}: expected at most ${bytes} bytes`);
      return new Uint8Array(await found.arrayBuffer());
    },
  };
}

/** Models among a Worker's static assets, by file name. @throws RangeError for a larger file. */
export function modelsInAssets(assets: Assets): ModelStore {
  return {
    get: async (name, bytes) => {
      const found = await assets.fetch(`https://assets.local/${encodeURIComponent(name)}`);
      if (!found.ok) return null;
      if (Number(found.headers.get("content-length")) > bytes)
        throw new RangeError(`${name}: expected at most ${bytes} bytes`);
      return new Uint8Array(await found.arrayBuffer());
    },
  };
}
