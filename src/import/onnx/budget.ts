import { ModelFormatError } from "../../errors.ts";

const LEAST = 64 << 20;
/** float16 and int4 weights are widened, laid out anew and checked: six and seven bytes of work a byte. */
const PER_FILE_BYTE = 8;

/** Bytes that the constants of one model may take, copies in other layouts among them: a small file that reads one
 * tensor thousands of times is stopped before memory is. */
export class Budget {
  #left: number;
  #total: number;
  #where: string;
  constructor(fileBytes: number, where: string) {
    this.#total = Math.max(LEAST, fileBytes * PER_FILE_BYTE);
    this.#left = this.#total;
    this.#where = where;
  }
  /** Data in another file counts as data of this one. */
  grow(bytes: number): void {
    this.#left += bytes * PER_FILE_BYTE;
    this.#total += bytes * PER_FILE_BYTE;
  }
  /** @throws ModelFormatError when the constants take more than the file warrants. */
  spend(bytes: number): void {
    this.#left -= bytes;
    if (!(this.#left >= 0))
      throw new ModelFormatError(
        `${this.#where}: constants`,
        `at most ${this.#total} bytes in memory for a file of its size`,
        `${this.#total - this.#left}`,
      );
  }
}
