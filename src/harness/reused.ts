import type { Values } from "../model/compile.ts";

/** The same memory at every call, more of it when more is asked for: what it held is overwritten. Large arrays made anew cost
 * the garbage collector more than filling them does. */
export function reused<Kind extends Values>(make: (length: number) => Kind): (length: number) => Kind {
  let room = make(0);
  return (length) => {
    if (room.length < length) room = make(length);
    return room.subarray(0, length) as Kind;
  };
}
