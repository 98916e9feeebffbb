/** Plain data with Float32Arrays in it as bytes: the length of a JSON text (uint32, little-endian), the text, and behind it
 * the arrays' values in the order of the text, where each is {"float32": length} and each number that JSON lacks is
 * {"number": "NaN"}. */
export function packed(value: unknown): Uint8Array {
  const arrays: Float32Array[] = [];
  const text = JSON.stringify(value, (_, inner) => {
    if (typeof inner === "number" && !Number.isFinite(inner)) return { number: String(inner) };
    if (!(inner instanceof Float32Array)) return inner;
    arrays.push(inner);
    return { float32: inner.length };
  });
  const json = new TextEncoder().encode(text);
  const bytes = new Uint8Array(4 + json.length + 4 * arrays.reduce((sum, { length }) => sum + length, 0));
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, 4);
  let at = 4 + json.length;
  for (const { buffer, byteOffset, byteLength } of arrays) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return bytes;
}

/** What was packed. */
export function unpacked<T>(bytes: Uint8Array): T {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  let at = 4 + length;
  const array = (count: number) => {
    const values = new Float32Array(count);
    new Uint8Array(values.buffer).set(bytes.subarray(at, at + values.byteLength));
    at += values.byteLength;
    return values;
  };
  const revive = (value: unknown): unknown => {
    if (value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) return value.map(revive);
    const { float32, number } = value as { float32?: number; number?: string };
    if (float32 !== undefined) return array(float32);
    if (number !== undefined) return Number(number);
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
  };
  return revive(JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))) as T;
}
