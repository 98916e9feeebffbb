import { DataError } from "../errors.ts";

/** A dense array as numpy's .npy holds it: little-endian, C order. */
export interface NpyArray {
  shape: number[];
  data: Float32Array | Int8Array | Uint8Array | Int16Array | Int32Array;
}

const TYPES = {
  "<f4": Float32Array,
  "|i1": Int8Array,
  "|u1": Uint8Array,
  "<i2": Int16Array,
  "<i4": Int32Array,
} as const;
const MAX_HEADER = 65536;

/** Reads .npy format 1.0 to 3.0 (numpy.lib.format). where: the file's name for messages.
 * @throws DataError for another type, Fortran order or a wrong number of bytes. */
export function parseNpy(bytes: Uint8Array, where: string): NpyArray {
  const { shape, data } = parseArray(bytes, where, TYPES);
  return { shape, data: data as NpyArray["data"] };
}

/** The same for whole numbers, numpy's usual int64 among them. @throws DataError also for numbers that are no int32. */
export function parseNpyIntegers(bytes: Uint8Array, where: string): { shape: number[]; data: Int32Array } {
  const { "<f4": _, ...integers } = TYPES;
  const { shape, data } = parseArray(bytes, where, {
    ...integers,
    "<i8": BigInt64Array,
    "<u8": BigUint64Array,
  });
  const numbers = Float64Array.from(data as unknown as ArrayLike<number>, Number);
  const wrong = numbers.findIndex((value) => value !== (value | 0));
  if (wrong >= 0) throw new DataError(`${where}: value ${wrong}`, "an int32", `${numbers[wrong]}`);
  return { shape, data: Int32Array.from(numbers) };
}

type ArrayTypes = Record<
  string,
  { new (buffer: ArrayBuffer): ArrayBufferView; readonly BYTES_PER_ELEMENT: number }
>;

function parseArray(
  bytes: Uint8Array,
  where: string,
  types: ArrayTypes,
): { shape: number[]; data: ArrayBufferView } {
  if (bytes.length < 10 || bytes[0] !== 0x93 || new TextDecoder().decode(bytes.subarray(1, 6)) !== "NUMPY")
    throw new DataError(`${where}: offset 0`, "a .npy file", "something else");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = bytes[6] >= 2;
  const start = wide ? 12 : 10;
  const length = wide && bytes.length >= 12 ? view.getUint32(8, true) : view.getUint16(8, true);
  if (length > MAX_HEADER || start + length > bytes.length)
    throw new DataError(
      `${where}: offset 8`,
      `a header within the file's ${bytes.length} bytes`,
      `${length} bytes`,
    );
  const header = new TextDecoder("latin1").decode(bytes.subarray(start, start + length));
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1] ?? "none";
  const Type = Object.hasOwn(types, descr) ? types[descr] : undefined;
  if (!Type) throw new DataError(`${where}: descr`, `one of ${Object.keys(types).join(", ")}`, descr);
  if (/'fortran_order'\s*:\s*True/.test(header))
    throw new DataError(`${where}: fortran_order`, "False", "True");
  const dimensions = /'shape'\s*:\s*\(([^)]*)\)/.exec(header)?.[1];
  if (dimensions === undefined || !/^[\d\s,]*$/.test(dimensions))
    throw new DataError(`${where}: shape`, "a tuple of sizes", `${dimensions}`);
  const shape = dimensions
    .split(",")
    .map((text) => text.trim())
    .filter(Boolean)
    .map(Number);
  const size = shape.reduce((a, b) => a * b, 1) * Type.BYTES_PER_ELEMENT;
  const got = bytes.length - start - length;
  if (size !== got)
    throw new DataError(`${where}: data`, `${size} bytes for shape (${shape.join(", ")})`, `${got}`);
  return { shape, data: new Type(Uint8Array.from(bytes.subarray(start + length)).buffer) };
}

/** The bytes of a .npy file, format 1.0. */
export function formatNpy({ shape, data }: NpyArray): Uint8Array {
  const descr = Object.entries(TYPES).find(([, Type]) => data instanceof Type)![0];
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const header = `${dictionary.padEnd(Math.ceil((10 + dictionary.length + 1) / 64) * 64 - 11)}\n`;
  const bytes = new Uint8Array(10 + header.length + data.byteLength);
  bytes.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length & 255, header.length >> 8]);
  bytes.set(new TextEncoder().encode(header), 10);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + header.length);
  return bytes;
}
