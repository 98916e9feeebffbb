import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { ModelFormatError } from "../../errors.ts";
import type { Decoded, Draft, Field, Message, Scalar } from "./schema.ts";

/** What one file may hold, so that a small file cannot ask for much memory. */
const MAX_MESSAGES = 500_000;
const MAX_NUMBERS = 32 << 20;

interface Budget {
  messages: number;
  numbers: number;
}

const WIRE: Record<Scalar, WireType> = {
  int64: WireType.Varint,
  int32: WireType.Varint,
  float: WireType.Bit32,
  double: WireType.Bit64,
  string: WireType.LengthDelimited,
  bytes: WireType.LengthDelimited,
};
const READ: { [S in Scalar]: (reader: BinaryReader) => number | string | Uint8Array } = {
  int64: (reader) => Number(reader.int64()),
  int32: (reader) => reader.int32(),
  float: (reader) => reader.float(),
  double: (reader) => reader.double(),
  string: (reader) => reader.string(true),
  bytes: (reader) => reader.bytes(),
};
const ABSENT: { [S in Scalar]: unknown } = {
  int64: 0,
  int32: 0,
  float: 0,
  double: 0,
  string: "",
  bytes: undefined,
};

interface Layout {
  byNumber: Map<number, readonly [string, Field]>;
  empty(): Record<string, unknown>;
}
const layouts = new Map<Message, Layout>();

function layoutOf(message: Message): Layout {
  const known = layouts.get(message);
  if (known) return known;
  const fields = Object.entries(message);
  const layout: Layout = {
    byNumber: new Map(fields.map(([name, field]) => [field.number, [name, field] as const])),
    empty: () =>
      Object.fromEntries(
        fields.map(([name, { type, many }]) => [
          name,
          many ? [] : typeof type === "string" ? ABSENT[type] : undefined,
        ]),
      ),
  };
  layouts.set(message, layout);
  return layout;
}

/**
 * Reads a message; bytes are views into the file. Unknown fields are skipped.
 * @throws ModelFormatError naming the offset.
 */
export function decodeMessage<M extends Message>(message: M, bytes: Uint8Array, where: string): Decoded<M> {
  const reader = new BinaryReader(bytes);
  const budget = { messages: MAX_MESSAGES, numbers: MAX_NUMBERS };
  try {
    return readFields(reader, message, bytes.length, budget) as Decoded<M>;
  } catch (error) {
    const offset = Math.min(reader.pos, bytes.length);
    throw new ModelFormatError(`${where}: offset ${offset}`, "an ONNX model", (error as Error).message);
  }
}

function readFields(
  reader: BinaryReader,
  message: Message,
  end: number,
  budget: Budget,
): Record<string, unknown> {
  if (--budget.messages < 0) throw new RangeError(`more than ${MAX_MESSAGES} messages`);
  const { byNumber, empty } = layoutOf(message);
  const result = empty();
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const known = byNumber.get(number);
    if (known) readField(reader, known, wireType, result, budget);
    else reader.skip(wireType, number);
    if (reader.pos > end) throw new RangeError(`field ${number} runs past its message's end, ${end}`);
  }
  return result;
}

function readField(
  reader: BinaryReader,
  [name, { type, many }]: readonly [string, Field],
  wireType: WireType,
  result: Record<string, unknown>,
  budget: Budget,
): void {
  const expected = typeof type === "string" ? WIRE[type] : WireType.LengthDelimited;
  const packed = many && expected !== WireType.LengthDelimited && wireType === WireType.LengthDelimited;
  if (wireType !== expected && !packed) throw new RangeError(`wire type ${wireType} in field ${name}`);
  if (packed) {
    readPacked(reader, type as Scalar, result[name] as unknown[], budget);
    return;
  }
  const value =
    typeof type === "string" ? READ[type](reader) : readFields(reader, type, endOf(reader), budget);
  if (!many) result[name] = value;
  else {
    if (type === "string" || type === "bytes") budget.messages--;
    else if (typeof type === "string") budget.numbers--;
    if (budget.messages < 0 || budget.numbers < 0) throw new RangeError(`too many values in field ${name}`);
    (result[name] as unknown[]).push(value);
  }
}

/** The end of a length-delimited value that starts here. */
function endOf(reader: BinaryReader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError(`${length} bytes where ${reader.len - reader.pos} are left`);
  return end;
}

function readPacked(reader: BinaryReader, type: Scalar, into: unknown[], budget: Budget): void {
  const end = endOf(reader);
  const read = READ[type];
  while (reader.pos < end) {
    if (--budget.numbers < 0) throw new RangeError(`more than ${MAX_NUMBERS} numbers outside raw data`);
    into.push(read(reader));
  }
  if (reader.pos > end) throw new RangeError(`a packed value runs past its end, ${end}`);
}

/** The bytes of a message, fields in the order of their numbers: the same draft always gives the same bytes. */
export function encodeMessage<M extends Message>(message: M, draft: Draft<M>): Uint8Array {
  const writer = new BinaryWriter();
  writeFields(writer, message, draft as Record<string, unknown>);
  return writer.finish();
}

function writeFields(writer: BinaryWriter, message: Message, draft: Record<string, unknown>): void {
  for (const [name, field] of Object.entries(message)) {
    const value = draft[name];
    if (value === undefined) continue;
    if (!field.many) writeOne(writer, field, value);
    else if (typeof field.type === "string" && WIRE[field.type] !== WireType.LengthDelimited)
      writePacked(writer, field, value as readonly number[]);
    else for (const item of value as readonly unknown[]) writeOne(writer, field, item);
  }
}

function writeOne(writer: BinaryWriter, { number, type }: Field, value: unknown): void {
  if (typeof type === "string") {
    writer.tag(number, WIRE[type]);
    writeScalar(writer, type, value);
  } else {
    writer.tag(number, WireType.LengthDelimited).fork();
    writeFields(writer, type, value as Record<string, unknown>);
    writer.join();
  }
}

function writePacked(writer: BinaryWriter, { number, type }: Field, values: readonly number[]): void {
  if (values.length === 0) return;
  writer.tag(number, WireType.LengthDelimited).fork();
  for (const value of values) writeScalar(writer, type as Scalar, value);
  writer.join();
}

function writeScalar(writer: BinaryWriter, type: Scalar, value: unknown): void {
  if (type === "string") writer.string(value as string);
  else if (type === "bytes") writer.bytes(value as Uint8Array);
  else if (type === "int64") writer.int64(BigInt(value as number));
  else writer[type](value as number);
}
