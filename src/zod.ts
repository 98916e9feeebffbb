/** zod without code made from text: Workers runtimes and strict pages forbid it. Everything takes its schemas from here, as a
 * namespace, so that a bundle holds no more of zod than is used. */
import { config } from "zod";

config({ jitless: true });

export * from "zod";
