/** A place in a run of a defense: the answers so far, compressed, behind a digest that ties them to one request. It is no
 * seal: a client that forges one deceives itself. */
import { HttpError } from "./answer.ts";

const DIGEST_BYTES = 16;

async function digestOf(identity: string, answers: Uint8Array): Promise<Uint8Array> {
  const head = new TextEncoder().encode(identity);
  const all = new Uint8Array(head.length + answers.length);
  all.set(head);
  all.set(answers, head.length);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all)).subarray(0, DIGEST_BYTES);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

/** identity: all that decides what the model is asked. answers: rows of scores. */
export async function writeCursor(identity: string, answers: Float32Array): Promise<string> {
  const bytes = bytesOf(answers).slice();
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  const parts = [await digestOf(identity, bytes), new Uint8Array(await new Response(packed).arrayBuffer())];
  let text = "";
  for (const part of parts) for (const byte of part) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The answers of a cursor. most: values that it may hold; what is compressed beyond them is not read.
 * @throws HttpError 400 unless this same request gave it. */
export async function readCursor(identity: string, cursor: string, most: number): Promise<Float32Array> {
  const wrong = new HttpError(400, "cursor: expected one that was given here, for the same request");
  try {
    const bytes = Uint8Array.from(atob(cursor.replaceAll("-", "+").replaceAll("_", "/")), (c) =>
      c.charCodeAt(0),
    );
    const answers = await unpacked(bytes.subarray(DIGEST_BYTES), most * Float32Array.BYTES_PER_ELEMENT);
    const digest = await digestOf(identity, answers);
    if (bytes.length < DIGEST_BYTES || digest.some((byte, i) => byte !== bytes[i])) throw wrong;
    return new Float32Array(answers.buffer);
  } catch {
    throw wrong;
  }
}

/** @throws for more than `most` bytes, before they are held. */
async function unpacked(packed: Uint8Array<ArrayBuffer>, most: number): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array<ArrayBuffer>>) {
    length += chunk.length;
    if (length > most) throw new RangeError(`expected at most ${most} bytes`);
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
