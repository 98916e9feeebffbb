import { HttpError } from "./answer.ts";
import type { Limits } from "./limits.ts";

/** Bytes of all requests that are held at one time. */
export class Waiting {
  #bytes = 0;
  readonly #most: number;
  constructor(most: number) {
    this.#most = most;
  }
  /** @throws HttpError 503 where they are too many. */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#most)
      throw new HttpError(503, "expected fewer requests at one time: come again", { "retry-after": "1" });
    this.#bytes += bytes;
  }
  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

const FORM = /^multipart\/form-data\s*;.*boundary=/i;

/** @throws HttpError for what is not an uncompressed form, before a byte of it is read. */
function checkHead({ headers }: Request, { bodyBytes }: Limits): void {
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity")
    throw new HttpError(415, "content-encoding: expected a body that is not compressed");
  if (!FORM.test(headers.get("content-type") ?? ""))
    throw new HttpError(415, "content-type: expected multipart/form-data with a boundary");
  const length = headers.get("content-length");
  if (length !== null && !/^\d{1,15}$/.test(length))
    throw new HttpError(400, "content-length: expected a number of bytes");
  if (Number(length) > bodyBytes) throw new HttpError(413, tooLong(bodyBytes));
}

const tooLong = (most: number) => `body: expected at most ${most} bytes`;

/** A form of at most `bodyBytes` bytes that is there within `bodyMilliseconds`.
 * waiting: holds the bytes; `done` gives them back. @throws HttpError. */
export async function readForm(
  request: Request,
  limits: Limits,
  waiting: Waiting,
): Promise<{ form: FormData; done: () => void }> {
  checkHead(request, limits);
  let held = 0;
  const done = () => {
    waiting.give(held);
    held = 0;
  };
  try {
    const chunks = await inTime(request, limits, (bytes) => {
      if (held + bytes > limits.bodyBytes) throw new HttpError(413, tooLong(limits.bodyBytes));
      waiting.take(bytes);
      held += bytes;
    });
    const type = { "content-type": request.headers.get("content-type")! };
    const form = await new Response(new Blob(chunks), { headers: type }).formData().catch(() => {
      throw new HttpError(400, "body: expected a whole multipart form");
    });
    return { form, done };
  } catch (error) {
    done();
    throw error;
  }
}

async function inTime(
  { body }: Request,
  { bodyMilliseconds }: Limits,
  count: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>[]> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  if (!body) return chunks;
  const reader = (body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new HttpError(408, "body: expected it sooner")), bodyMilliseconds);
  });
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) return chunks;
      count(value.byteLength);
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof HttpError ? error : new HttpError(400, "body: expected the whole of it");
  } finally {
    clearTimeout(timer);
  }
}
