import type { Result } from "../harness/result.ts";
import { renderHtml } from "./html.ts";
import { renderMarkdown } from "./markdown.ts";

/** How a Result is drawn, by the ending of the file. */
export const REPORTS: Record<string, (result: Result) => string> = {
  ".html": renderHtml,
  ".md": renderMarkdown,
};
