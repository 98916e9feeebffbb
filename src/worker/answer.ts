/** What goes back to a client: JSON on one line, and of a failure never more than its own request can know. */
import { DataError, ModelFormatError, ProfileError, UnsupportedOpError } from "../errors.ts";

/** A request that cannot be answered as it is. */
export class HttpError extends Error {
  override name = "HttpError";
  readonly status: number;
  readonly headers: Record<string, string>;
  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  const type = { "content-type": "application/json; charset=utf-8", "cache-control": "no-store" };
  return new Response(`${JSON.stringify(value)}\n`, { status, headers: { ...type, ...headers } });
}

/** Faults of what was sent: their messages name the file and the place. */
const FAULTS = [ModelFormatError, UnsupportedOpError, ProfileError, DataError];
const LONGEST_MESSAGE = 1000;

/** The status of a failure and its one line. Anything unforeseen is 500 without a word about it. */
export function failure(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (FAULTS.some((fault) => error instanceof fault)) return new HttpError(422, oneLine(error as Error));
  if (error instanceof RangeError)
    return new HttpError(413, "expected less: it does not fit in this Worker's memory");
  return new HttpError(500, "internal error");
}

const oneLine = ({ message }: Error) => message.replaceAll(/\s+/g, " ").slice(0, LONGEST_MESSAGE);

export const failed = (error: unknown): Response => {
  const { status, message, headers } = failure(error);
  return json({ error: message }, status, headers);
};
