import { Builder, type Offset } from "flatbuffers";

/** A field's value, by how it lies in a table; vectors and strings are written before it. bytes start 16-aligned. */
export type Field =
  | { int8: number }
  | { int32: number }
  | { float32: number }
  | { offset: Offset }
  | { ints: ArrayLike<number> }
  | { floats: ArrayLike<number> }
  | { longs: ArrayLike<number> }
  | { offsets: readonly Offset[] }
  | { bytes: Uint8Array }
  | { string: string };

/** By id: the field's place in the schema, where a union takes two. Undefined fields are left out. */
export type Fields = readonly (readonly [id: number, value: Field | undefined])[];

const BUFFER_ALIGNMENT = 16;

/** Every given field is written, also where it has the schema's default. */
export class FlatBufferWriter {
  readonly #builder = new Builder(1 << 16);

  table(fields: Fields): Offset {
    const given = fields.flatMap(([id, value]) => (value ? [[id, this.#placed(value)] as const] : []));
    const builder = this.#builder;
    builder.startObject(1 + Math.max(-1, ...given.map(([id]) => id)));
    builder.forceDefaults(true);
    for (const [id, value] of given) {
      if ("int8" in value) builder.addFieldInt8(id, value.int8, 0);
      else if ("int32" in value) builder.addFieldInt32(id, value.int32, 0);
      else if ("float32" in value) builder.addFieldFloat32(id, value.float32, 0);
      else builder.addFieldOffset(id, value.offset, 0);
    }
    return builder.endObject();
  }

  /** The whole file. */
  finish(root: Offset, identifier: string): Uint8Array {
    this.#builder.finish(root, identifier);
    return this.#builder.asUint8Array().slice();
  }

  /** Writes what a table only points to. */
  #placed(value: Field): { int8: number } | { int32: number } | { float32: number } | { offset: Offset } {
    const builder = this.#builder;
    if ("string" in value) return { offset: builder.createString(value.string) };
    if ("ints" in value) return this.#vector(4, 4, value.ints, (v) => builder.addInt32(v));
    if ("floats" in value) return this.#vector(4, 4, value.floats, (v) => builder.addFloat32(v));
    if ("longs" in value) return this.#vector(8, 8, value.longs, (v) => builder.addInt64(BigInt(v)));
    if ("offsets" in value) return this.#vector(4, 4, value.offsets, (v) => builder.addOffset(v));
    if ("bytes" in value)
      return this.#vector(1, BUFFER_ALIGNMENT, value.bytes, (v) => builder.addInt8((v << 24) >> 24));
    return value;
  }

  #vector(size: number, alignment: number, values: ArrayLike<number>, add: (value: number) => void) {
    this.#builder.startVector(size, values.length, alignment);
    for (let i = values.length - 1; i >= 0; i--) add(values[i]);
    return { offset: this.#builder.endVector() };
  }
}
