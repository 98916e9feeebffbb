/** zod without code made from text: Workers runtimes and strict pages forbid it. Everything takes its schemas from here. */
import { z } from "zod";

z.config({ jitless: true });

export { z };
