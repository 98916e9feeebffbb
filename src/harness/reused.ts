/** The same memory at every call, more of it when more is asked for: what it held is overwritten. Large arrays made anew cost
 * the garbage collector more than filling them does. */
export function reusedFloats(): (length: number) => Float32Array {
  let room = new Float32Array(0);
  return (length) => {
    if (room.length < length) room = new Float32Array(length);
    return room.subarray(0, length);
  };
}
