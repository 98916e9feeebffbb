import { Presets, SingleBar } from "cli-progress";

/** Shows how far a long piece of work is, on stderr. */
export interface Meter {
  /** Adds work to come, in units of cost. */
  expect(cost: number): void;
  begin(title: string, cost: number): { advance(share: number): void; end(): void };
  stop(): void;
}

const LINE_EVERY_MS = 5000;
const TITLE_WIDTH = 44;

/** A bar on a terminal; elsewhere a line every few seconds. */
export function startMeter(stream: NodeJS.WriteStream): Meter {
  let [expected, done] = [0, 0];
  const running = new Map<object, { title: string; cost: number; share: number }>();
  const total = () => done + [...running.values()].reduce((sum, { cost, share }) => sum + cost * share, 0);
  const titles = () => [...running.values()].map(({ title }) => title).join(" | ");
  const bar = stream.isTTY
    ? new SingleBar(
        { stream, format: "{bar} {percentage}% {titles}", barsize: 24, hideCursor: true, fps: 5 },
        Presets.shades_classic,
      )
    : undefined;
  bar?.start(1, 0, { titles: "" });
  let spoke = Date.now();
  const show = () => {
    if (bar) {
      bar.setTotal(Math.max(1, expected));
      bar.update(total(), { titles: titles().slice(0, Math.max(TITLE_WIDTH, (stream.columns ?? 80) - 36)) });
    } else if (Date.now() - spoke >= LINE_EVERY_MS) {
      spoke = Date.now();
      stream.write(`${Math.floor((100 * total()) / Math.max(1, expected))}% ${titles()}\n`);
    }
  };
  return {
    expect: (cost) => {
      expected += cost;
    },
    begin: (title, cost) => {
      const key = {};
      const task = { title, cost, share: 0 };
      running.set(key, task);
      show();
      return {
        advance: (share) => {
          task.share = share;
          show();
        },
        end: () => {
          running.delete(key);
          done += cost;
          show();
        },
      };
    },
    stop: () => bar?.stop(),
  };
}
