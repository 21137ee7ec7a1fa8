/** What is said in the place of candles: that they are being loaded, or why there are none. */

import { button, find } from "../elements.js";

const DIM_AFTER_MS = 150;
const SAY_AFTER_MS = 1_000;

export class ChartNote {
  readonly #frame = find("chart-frame");
  readonly #note = find("chart-note");
  #timers: number[] = [];

  /** Something is loaded: say so if it takes long. What was shown before is dimmed first. */
  begin(symbol: string): void {
    this.end();
    const dim = () => this.#frame.toggleAttribute("data-loading", true);
    const say = () => this.#say(`The history of ${symbol} is being loaded …`);
    this.#timers = [window.setTimeout(dim, DIM_AFTER_MS), window.setTimeout(say, SAY_AFTER_MS)];
  }

  /** It is here, or will not come. */
  end(): void {
    this.#timers.forEach(clearTimeout);
    this.#frame.toggleAttribute("data-loading", false);
    this.#note.hidden = true;
  }

  fail(symbol: string, reason: string, onRetry: () => void): void {
    this.end();
    this.#say(`There is no history of ${symbol} now: ${reason}`, button("Try again", onRetry));
  }

  #say(...words: (string | Node)[]): void {
    this.#note.replaceChildren(...words);
    this.#note.hidden = false;
  }
}
