import { ByteBuffer } from "flatbuffers";
import { ModelFormatError } from "../../errors.ts";

const ELEMENT_BYTES = { int32: 4, float32: 4 } as const;

/** Vectors and strings may be shared: a file of n bytes must not make us copy n^2. Real files stay below one copy. */
const COPY_FACTOR = 4;
const COPY_FLOOR = 1 << 20;
const COPY_CEILING = 256 << 20;

/**
 * The bytes of a FlatBuffer, every access checked: the flatbuffers runtime verifies nothing.
 * What may be copied out of it is bounded, so that shared vectors cannot multiply.
 */
export class FlatBuffer {
  readonly bytes: Uint8Array;
  private readonly buffer: ByteBuffer;
  private readonly where: string;
  private allowance: number;

  /** where: the file's name, for messages. */
  constructor(bytes: Uint8Array, where: string) {
    this.bytes = bytes;
    this.buffer = new ByteBuffer(bytes);
    this.where = where;
    this.allowance = Math.min(COPY_FLOOR + COPY_FACTOR * bytes.length, COPY_CEILING);
  }

  /** @throws ModelFormatError, always. */
  fail(at: number, what: string, expected: string, got: string): never {
    throw new ModelFormatError(`${this.where}: offset ${at} (${what})`, expected, got);
  }

  /** Returns `at` where `size` bytes from there are in the file. */
  check(at: number, size: number, what: string): number {
    if (at < 0 || size < 0 || at + size > this.bytes.length)
      this.fail(at, what, `${size} bytes within the file's ${this.bytes.length}`, "the end of the file");
    return at;
  }

  /** Counts bytes that will be copied out. */
  charge(size: number, at: number, what: string): void {
    this.allowance -= size;
    if (this.allowance < 0)
      this.fail(at, what, "vectors that are not shared many times over", `${size} more bytes`);
  }

  uint8(at: number, what: string): number {
    return this.buffer.readUint8(this.check(at, 1, what));
  }
  int8(at: number, what: string): number {
    return this.buffer.readInt8(this.check(at, 1, what));
  }
  uint16(at: number, what: string): number {
    return this.buffer.readUint16(this.check(at, 2, what));
  }
  int32(at: number, what: string): number {
    return this.buffer.readInt32(this.check(at, 4, what));
  }
  uint32(at: number, what: string): number {
    return this.buffer.readUint32(this.check(at, 4, what));
  }
  float32(at: number, what: string): number {
    return this.buffer.readFloat32(this.check(at, 4, what));
  }
  int64(at: number, what: string): bigint {
    return this.buffer.readInt64(this.check(at, 8, what));
  }
  uint64(at: number, what: string): bigint {
    return this.buffer.readUint64(this.check(at, 8, what));
  }

  /** Where the uoffset at `at` points. An offset of 0 would point at itself. */
  target(at: number, what: string): number {
    const distance = this.uint32(at, what);
    if (distance === 0) this.fail(at, what, "an offset", "0");
    return this.check(at + distance, 4, what);
  }

  /** The table that is the root of the file. */
  root(what: string): Table {
    return new Table(this, this.target(0, what), what);
  }
}

/** Where a vector's elements are. */
interface Span {
  at: number;
  length: number;
}

/** One table. Fields are by id: their order in the schema, where a union takes two. */
export class Table {
  readonly at: number;
  private readonly file: FlatBuffer;
  private readonly what: string;
  private readonly vtable: number;
  private readonly vtableBytes: number;
  private readonly tableBytes: number;

  constructor(file: FlatBuffer, at: number, what: string) {
    this.file = file;
    this.at = at;
    this.what = what;
    this.vtable = at - file.int32(at, what);
    this.vtableBytes = file.uint16(this.vtable, `vtable of ${what}`);
    this.tableBytes = file.uint16(this.vtable + 2, `vtable of ${what}`);
    if (this.vtableBytes < 4 || this.vtableBytes % 2 !== 0)
      file.fail(this.vtable, `vtable of ${what}`, "an even size from 4", `${this.vtableBytes}`);
    file.check(this.vtable, this.vtableBytes, `vtable of ${what}`);
    if (this.tableBytes < 4)
      file.fail(this.vtable + 2, `vtable of ${what}`, "a table of 4 bytes", `${this.tableBytes}`);
    file.check(at, this.tableBytes, what);
  }

  /** @throws ModelFormatError at this table, always. */
  fail(field: string, expected: string, got: string): never {
    this.file.fail(this.at, `${this.what} ${field}`, expected, got);
  }

  /** Position of a field of `size` bytes, or undefined where the file leaves it out. */
  private field(id: number, size: number, name: string): number | undefined {
    const slot = 4 + 2 * id;
    if (slot + 2 > this.vtableBytes) return undefined;
    const offset = this.file.uint16(this.vtable + slot, `vtable of ${this.what}`);
    if (offset === 0) return undefined;
    if (offset < 4 || offset + size > this.tableBytes)
      this.fail(name, `a field within the table's ${this.tableBytes} bytes`, `offset ${offset}`);
    return this.at + offset;
  }

  private name(field: string): string {
    return `${this.what} ${field}`;
  }

  int8(id: number, field: string, absent = 0): number {
    const at = this.field(id, 1, field);
    return at === undefined ? absent : this.file.int8(at, this.name(field));
  }
  uint8(id: number, field: string, absent = 0): number {
    const at = this.field(id, 1, field);
    return at === undefined ? absent : this.file.uint8(at, this.name(field));
  }
  bool(id: number, field: string, absent = false): boolean {
    return this.uint8(id, field, absent ? 1 : 0) !== 0;
  }
  int32(id: number, field: string, absent = 0): number {
    const at = this.field(id, 4, field);
    return at === undefined ? absent : this.file.int32(at, this.name(field));
  }
  uint32(id: number, field: string, absent = 0): number {
    const at = this.field(id, 4, field);
    return at === undefined ? absent : this.file.uint32(at, this.name(field));
  }
  float32(id: number, field: string, absent = 0): number {
    const at = this.field(id, 4, field);
    return at === undefined ? absent : this.file.float32(at, this.name(field));
  }
  uint64(id: number, field: string): bigint {
    const at = this.field(id, 8, field);
    return at === undefined ? 0n : this.file.uint64(at, this.name(field));
  }

  table(id: number, field: string): Table | undefined {
    const at = this.field(id, 4, field);
    return at === undefined
      ? undefined
      : new Table(this.file, this.file.target(at, this.name(field)), this.name(field));
  }

  private span(id: number, field: string, elementBytes: number): Span | undefined {
    const at = this.field(id, 4, field);
    if (at === undefined) return undefined;
    const start = this.file.target(at, this.name(field));
    const length = this.file.uint32(start, this.name(field));
    this.file.check(start + 4, length * elementBytes, this.name(field));
    return { at: start + 4, length };
  }

  /** UTF-8; bytes that are not become U+FFFD. Empty where absent. */
  string(id: number, field: string): string {
    const span = this.span(id, field, 1);
    if (!span) return "";
    this.file.charge(span.length, span.at, this.name(field));
    return new TextDecoder().decode(this.file.bytes.subarray(span.at, span.at + span.length));
  }

  /** A view of a [ubyte] vector; empty where absent. */
  uint8s(id: number, field: string): Uint8Array {
    const span = this.span(id, field, 1);
    return span ? this.file.bytes.subarray(span.at, span.at + span.length) : new Uint8Array(0);
  }

  /** Undefined where absent, which for some fields is not the same as empty. */
  numbers(id: number, field: string, type: keyof typeof ELEMENT_BYTES): number[] | undefined {
    const bytes = ELEMENT_BYTES[type];
    const span = this.span(id, field, bytes);
    if (!span) return undefined;
    this.file.charge(span.length * 8, span.at, this.name(field));
    const values = new Array<number>(span.length);
    for (let i = 0; i < span.length; i++) values[i] = this.file[type](span.at + bytes * i, this.name(field));
    return values;
  }

  /** A vector of int64, each of which must be a safe integer. */
  int64s(id: number, field: string): number[] {
    const span = this.span(id, field, 8);
    if (!span) return [];
    this.file.charge(span.length * 8, span.at, this.name(field));
    return Array.from({ length: span.length }, (_, i) => {
      const value = Number(this.file.int64(span.at + 8 * i, this.name(field)));
      if (!Number.isSafeInteger(value)) this.fail(`${field}[${i}]`, "an integer below 2^53", `${value}`);
      return value;
    });
  }

  /** A vector of tables, at most `most`. what: one of them, for messages. */
  tables(id: number, field: string, most: number, what: string): Table[] {
    const span = this.span(id, field, 4);
    if (!span) return [];
    if (span.length > most) this.fail(field, `at most ${most}`, `${span.length}`);
    return Array.from({ length: span.length }, (_, i) => {
      const name = `${what} ${i}`;
      return new Table(this.file, this.file.target(span.at + 4 * i, name), name);
    });
  }
}
