import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { fitPicture } from "../../src/data/fit.ts";
import { decodePicture } from "../../src/data/pictures.ts";
import { DataError } from "../../src/errors.ts";
import { ppm } from "./memoryFiles.ts";
import { chunk, drawn, header, join, jpeg, png, SIGNATURE } from "./pictures.ts";

const IEND = chunk("IEND", new Uint8Array(0));

describe("a picture", () => {
  it.each([1, 3])("comes back from PNG with %i channels", async (channels) => {
    const { pixels, ...size } = await decodePicture(png(7, 5, channels), "a.png");
    expect(size).toEqual({ width: 7, height: 5, channels });
    expect(pixels).toEqual(drawn(7, 5, channels));
  });

  it.each([
    [2, 1],
    [4, 3],
  ])("loses an alpha of 255 everywhere: %i samples to %i", async (samples, channels) => {
    const data = drawn(4, 4, samples).map((value, i) => ((i + 1) % samples === 0 ? 255 : value));
    const { pixels } = await decodePicture(png(4, 4, samples, data), "a.png");
    expect(pixels).toEqual(data.filter((_, i) => (i + 1) % samples !== 0));
    expect(pixels).toHaveLength(16 * channels);
  });

  it("unpacks greys of 1, 2 and 4 bits and takes the high byte of 16", async () => {
    const of = (depth: number, line: number[]) =>
      join(
        SIGNATURE,
        header(2, 1, depth, 0),
        chunk("IDAT", deflateSync(Uint8Array.from([0, ...line]))),
        IEND,
      );
    const greys = async (depth: number, line: number[]) => [
      ...(await decodePicture(of(depth, line), "a.png")).pixels,
    ];
    expect(await greys(1, [0b01000000])).toEqual([0, 255]);
    expect(await greys(2, [0b01110000])).toEqual([85, 255]);
    expect(await greys(4, [0x1f])).toEqual([17, 255]);
    expect(await greys(16, [0x12, 0xff, 0x80, 0x00])).toEqual([0x12, 0x80]);
  });

  it("takes a palette's colours", async () => {
    const palette = chunk("PLTE", Uint8Array.of(1, 2, 3, 250, 0, 9));
    const bytes = join(
      SIGNATURE,
      header(2, 1, 8, 3),
      palette,
      chunk("IDAT", deflateSync(Uint8Array.of(0, 1, 0))),
      IEND,
    );
    expect([...(await decodePicture(bytes, "a.png")).pixels]).toEqual([250, 0, 9, 1, 2, 3]);
  });

  it("is near what was drawn after JPEG", async () => {
    const { pixels, width, height } = await decodePicture(jpeg(24, 16), "a.jpg");
    expect([width, height]).toEqual([24, 16]);
    expect(Math.max(...drawn(24, 16, 3).map((value, i) => Math.abs(value - pixels[i])))).toBeLessThan(24);
  });

  it("is known by its bytes, whatever its name", async () =>
    expect((await decodePicture(ppm(3, 2, [1, 2, 3]), "a.jpg")).channels).toBe(3));
});

describe("a hostile picture", () => {
  const good = png(16, 16);
  const data = (bytes: Uint8Array) => chunk("IDAT", deflateSync(bytes));
  const bomb = join(SIGNATURE, header(1, 1), data(new Uint8Array(64 << 20)), IEND);
  const cases: Record<string, [Uint8Array, RegExp]> = {
    "no picture": [new TextEncoder().encode("<svg/>"), /expected a picture .*, got something else/],
    "an empty file": [new Uint8Array(0), /got an empty file/],
    "a signature alone": [SIGNATURE, /byte 8: expected a whole PNG chunk/],
    "one that breaks off": [good.subarray(0, good.length - 20), /expected a whole PNG chunk/],
    "a chunk longer than the file": [
      join(SIGNATURE, Uint8Array.of(255, 255, 255, 255), header(1, 1)),
      /whole PNG chunk/,
    ],
    "huge dimensions": [
      join(SIGNATURE, header(2 ** 31 - 1, 2 ** 31 - 1), IEND),
      /got 2147483647 x 2147483647/,
    ],
    "no pixels": [join(SIGNATURE, header(0, 5), IEND), /got 0 x 5/],
    "too many pixels on allowed sides": [join(SIGNATURE, header(8192, 8192), IEND), /got 8192 x 8192/],
    "pixels that inflate to more than its size": [bomb, /data that inflate to more/],
    "a flipped bit": [good.map((byte, i) => (i === 50 ? byte ^ 1 : byte)), /expected a PNG, got/],
    "no deflate": [
      join(SIGNATURE, header(4, 4), chunk("IDAT", Uint8Array.of(1, 2, 3)), IEND),
      /expected a PNG, got/,
    ],
    "an unknown filter": [
      join(SIGNATURE, header(1, 1), data(Uint8Array.of(9, 1, 2, 3)), IEND),
      /expected a PNG, got/,
    ],
    "an unknown colour type": [join(SIGNATURE, header(1, 1, 8, 5), IEND), /expected a PNG, got/],
    "transparent pixels": [
      png(2, 2, 4, new Uint8Array(16)),
      /expected an opaque image, got transparent pixels/,
    ],
    "a JPEG without frame": [Uint8Array.of(0xff, 0xd8, 0xff, 0xd9), /expected a JPEG with a frame header/],
    "a JPEG that breaks off": [jpeg(64, 64).subarray(0, 400), /expected a JPEG, got/],
    "a JPEG of huge dimensions": [
      Uint8Array.of(0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0xff, 0xff, 0xff, 0xff, 3, 1, 0x11, 0),
      /got 65535 x 65535/,
    ],
  };
  it.each(Object.entries(cases))(
    "is refused in one line that names the file: %s",
    async (_, [bytes, message]) => {
      const error = await decodePicture(bytes, "dir/x.png").catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(DataError);
      expect((error as Error).message).toMatch(message);
      expect((error as Error).message).toMatch(/^dir\/x\.png.*$/);
    },
  );

  it("may hold a bomb where no pixel is: it is never inflated", async () => {
    const profile = join(
      new TextEncoder().encode("x"),
      Uint8Array.of(0, 0),
      deflateSync(new Uint8Array(256 << 20)),
    );
    const bytes = join(SIGNATURE, header(1, 1), data(Uint8Array.of(0, 1, 2, 3)), IEND);
    const withProfile = join(bytes.subarray(0, 33), chunk("iCCP", profile), bytes.subarray(33));
    const before = process.memoryUsage().arrayBuffers;
    expect([...(await decodePicture(withProfile, "a.png")).pixels]).toEqual([1, 2, 3]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
  });

  it("of any random damage gives pixels or a DataError", async () => {
    for (const good of [png(9, 9), jpeg(16, 16), ppm(4, 4, [1, 2, 3])])
      for (let i = 0; i < 150; i++) {
        const at = (i * 7919) % good.length;
        const bytes = good.map((byte, j) => (j === at ? byte ^ (1 << (i % 8)) : byte));
        const error = await decodePicture(bytes, "x").catch((thrown: unknown) => thrown);
        if (error instanceof Error) expect(error).toBeInstanceOf(DataError);
      }
  });
});

describe("fitting a picture", () => {
  const of = (width: number, height: number, channels: 1 | 3, pixels: number[]) => ({
    ...{ width, height, channels },
    pixels: Uint8Array.from(pixels),
  });
  const shape = (width: number, height: number, channels = 1) => ({ width, height, channels });

  it("leaves the right size alone and refuses another unless told how", () => {
    const picture = of(2, 1, 1, [5, 9]);
    expect([...fitPicture(picture, shape(2, 1), null, "x")]).toEqual([5, 9]);
    expect(() => fitPicture(picture, shape(1, 1), null, "a/x.png")).toThrow(
      /^a\/x.png: expected 1 x 1 pixels .* got 2 x 1$/,
    );
  });

  it("averages the area that a pixel covers, rounded half up", () => {
    expect([...fitPicture(of(2, 2, 1, [1, 2, 3, 4]), shape(1, 1), "stretch", "x")]).toEqual([3]);
    expect([...fitPicture(of(3, 1, 1, [0, 90, 30]), shape(2, 1), "stretch", "x")]).toEqual([30, 50]);
    expect([...fitPicture(of(2, 1, 1, [10, 20]), shape(3, 1), "stretch", "x")]).toEqual([10, 15, 20]);
  });

  it("crops the middle to the model's shape", () =>
    expect([...fitPicture(of(4, 1, 1, [1, 2, 3, 4]), shape(1, 1), "crop", "x")]).toEqual([2]));

  it("makes three channels of a grey and a grey of three", () => {
    expect([...fitPicture(of(1, 1, 1, [7]), shape(1, 1, 3), null, "x")]).toEqual([7, 7, 7]);
    expect([...fitPicture(of(1, 1, 3, [255, 255, 255]), shape(1, 1), null, "x")]).toEqual([255]);
    expect([...fitPicture(of(1, 1, 3, [255, 0, 0]), shape(1, 1), null, "x")]).toEqual([77]);
  });
});
