/**
 * Copies one NHWC image into the inside of a frame, its rows stepY and its columns stepX pixels apart.
 * The rest of the frame is left as it is: the caller zeroes it once and reuses it for every image.
 */
export function copyIntoFrame(
  image: usize, height: i32, width: i32, pixelBytes: usize,
  frame: usize, frameWidth: i32, top: i32, left: i32, stepY: i32, stepX: i32,
): void {
  const rowBytes = <usize>width * pixelBytes;
  for (let y = 0; y < height; y++, image += rowBytes) {
    const row = frame + <usize>((top + y * stepY) * frameWidth + left) * pixelBytes;
    if (stepX == 1) {
      memory.copy(row, image, rowBytes);
      continue;
    }
    for (let x = 0; x < width; x++) {
      memory.copy(row + <usize>(x * stepX) * pixelBytes, image + <usize>x * pixelBytes, pixelBytes);
    }
  }
}
