/** Reads fields of a vector file: each by its name, type and range, or an error that says which case and field is wrong. */
import { ModelFormatError } from "../errors.ts";

/** No tensor or table of a case may be larger; a work bound is set where the shapes are known. */
export const MAX_ELEMENTS = 2 ** 24;
export const MAX_SIDE = 2 ** 16;

export type Json = Record<string, unknown>;

export function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value as it may stand in an error: short, on one line. */
export function shown(value: unknown): string {
  const text = value === undefined ? "nothing" : (JSON.stringify(value) ?? String(value));
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

function isInteger(value: unknown, low: number, high: number): value is number {
  return Number.isInteger(value) && (value as number) >= low && (value as number) <= high;
}

/** One case, or its params. where: file and case. */
export class Fields {
  readonly where: string;
  private readonly values: Json;

  constructor(where: string, values: Json) {
    this.where = where;
    this.values = values;
  }

  /** @throws ModelFormatError, always. */
  fail(field: string, expected: string, got: unknown = this.values[field]): never {
    throw new ModelFormatError(`${this.where}: ${field}`, expected, shown(got));
  }

  /** Of all fields. */
  names(): string[] {
    return Object.keys(this.values);
  }

  isTrue(field: string): boolean {
    return this.values[field] === true;
  }

  isArray(field: string): boolean {
    return Array.isArray(this.values[field]);
  }

  /** Entries of an array; 0 for anything else. */
  length(field: string): number {
    const value = this.values[field];
    return Array.isArray(value) ? value.length : 0;
  }

  has(field: string): boolean {
    return this.values[field] !== undefined && this.values[field] !== null;
  }

  record(field: string): Fields {
    const value = this.values[field];
    if (!isRecord(value)) this.fail(field, "an object");
    return new Fields(`${this.where}: ${field}`, value);
  }

  text(field: string): string {
    const value = this.values[field];
    if (typeof value !== "string") this.fail(field, "a string");
    return value;
  }

  integer(field: string, low: number, high: number): number {
    const value = this.values[field];
    if (!isInteger(value, low, high)) this.fail(field, `an integer in [${low}, ${high}]`);
    return value;
  }

  /** An array of integers, of `length` entries if given. */
  integers(field: string, low: number, high: number, length?: number): number[] {
    const value = this.values[field];
    if (!Array.isArray(value) || value.length > MAX_ELEMENTS) this.fail(field, "an array of integers");
    if (length !== undefined && value.length !== length) {
      this.fail(field, `${length} integers`, `${value.length} entries`);
    }
    const wrong = value.findIndex((entry) => !isInteger(entry, low, high));
    if (wrong >= 0) this.fail(`${field}[${wrong}]`, `an integer in [${low}, ${high}]`, value[wrong]);
    return value;
  }

  /** `rank` sizes, each positive, whose product is bounded. */
  shape(field: string, rank: number): number[] {
    const shape = this.integers(field, 1, MAX_SIDE, rank);
    const elements = shape.reduce((product, size) => product * size, 1);
    if (elements > MAX_ELEMENTS) this.fail(field, `at most ${MAX_ELEMENTS} elements`);
    return shape;
  }

  /** Base64 of exactly `length` bytes. */
  bytes(field: string, length: number): Uint8Array {
    const text = this.text(field);
    if (text.length !== Math.ceil(length / 3) * 4) {
      this.fail(field, `base64 of ${length} bytes`, `${text.length} characters`);
    }
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) this.fail(field, "base64");
    const decoded = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    if (decoded.length !== length) this.fail(field, `${length} bytes`, `${decoded.length} bytes`);
    return decoded;
  }

  int8(field: string, length: number): Int8Array {
    return new Int8Array(this.bytes(field, length).buffer);
  }

  /** Little-endian. */
  int16(field: string, length: number): Int16Array {
    const view = new DataView(this.bytes(field, length * 2).buffer);
    return Int16Array.from({ length }, (_, i) => view.getInt16(i * 2, true));
  }

  /** Little-endian int64, or null where the field is. */
  int64OrNull(field: string, length: number): BigInt64Array | null {
    if (!this.has(field)) return null;
    const view = new DataView(this.bytes(field, length * 8).buffer);
    return BigInt64Array.from({ length }, (_, i) => view.getBigInt64(i * 8, true));
  }

  /** Little-endian int32, or null where the field is. */
  int32OrNull(field: string, length: number): Int32Array | null {
    if (!this.has(field)) return null;
    const view = new DataView(this.bytes(field, length * 4).buffer);
    return Int32Array.from({ length }, (_, i) => view.getInt32(i * 4, true));
  }
}
