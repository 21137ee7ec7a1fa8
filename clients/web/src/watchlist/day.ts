/**
 * The last 24 hours of a symbol: from where its price came, how far it went, and its line.
 *
 * The rules of this file:
 * - It comes from bars of a quarter of an hour. The change is against the opening of the bar that was running 24
 *   hours ago, so it is right to a quarter of an hour; where the symbol is younger, against its first price.
 * - It is asked for what is looked at, a few at a time, and again when another quarter of an hour has begun.
 */

import type { Bar, History } from "tickgate";

const INTERVAL = "15m";
const BAR_S = 900;
const DAY_S = 86_400;
const AT_ONCE = 4;
const RETRY_MS = 30_000;

/** Of the newest 24 hours; amended by live prices. */
export class Day {
  readonly openedS: number;
  readonly open: number;
  readonly closes: number[];
  high: number;
  low: number;

  constructor(bars: readonly Bar[], openedS: number) {
    this.openedS = openedS;
    this.open = bars[0].open;
    this.closes = bars.map((bar) => bar.close);
    this.high = Math.max(...bars.map((bar) => bar.high));
    this.low = Math.min(...bars.map((bar) => bar.low));
  }

  /** Take a live price into account. */
  onPrice(price: number): void {
    this.closes[this.closes.length - 1] = price;
    this.high = Math.max(this.high, price);
    this.low = Math.min(this.low, price);
  }

  /** Return by what share of the opening a price differs from it. */
  change(price: number): number {
    return this.open > 0 ? price / this.open - 1 : 0;
  }

  /** Return where the line goes in a box, as points of an SVG polyline. */
  points(width: number, height: number): string {
    const { closes } = this;
    const [least, most] = [Math.min(...closes, this.open), Math.max(...closes, this.open)];
    const [stepX, scaleY] = [width / Math.max(closes.length - 1, 1), height / (most - least || 1)];
    return closes
      .map((close, at) => `${(at * stepX).toFixed(1)},${(height - (close - least) * scaleY).toFixed(1)}`)
      .join(" ");
  }
}

/** The days of many symbols, asked for in turn. */
export class Days {
  readonly #days = new Map<string, Day>();
  readonly #waiting = new Map<string, (day: Day) => void>();
  readonly #failedMs = new Map<string, number>();
  #running = 0;

  constructor(private readonly history: History) {}

  get(name: string): Day | undefined {
    return this.#days.get(name);
  }

  /** Have a day loaded, unless there is one that is new enough. */
  want(name: string, onLoaded: (day: Day) => void): void {
    const day = this.#days.get(name);
    const isFresh = day !== undefined && day.openedS === openingS();
    const hasFailed = Date.now() - (this.#failedMs.get(name) ?? 0) < RETRY_MS;
    if (!isFresh && !hasFailed && !this.#waiting.has(name)) {
      this.#waiting.set(name, onLoaded);
      this.#next();
    }
  }

  #next(): void {
    for (const [name, onLoaded] of this.#waiting) {
      if (this.#running >= AT_ONCE) {
        return;
      }
      this.#waiting.delete(name);
      this.#running++;
      this.#load(name, onLoaded).finally(() => {
        this.#running--;
        this.#next();
      });
    }
  }

  async #load(name: string, onLoaded: (day: Day) => void): Promise<void> {
    const from = openingS();
    try {
      const { bars } = await this.history.bars(name, INTERVAL, { from });
      if (bars.length > 0) {
        const day = new Day(bars, from);
        this.#days.set(name, day);
        onLoaded(day);
      }
    } catch {
      this.#failedMs.set(name, Date.now()); // a row without its line is better than none
    }
  }
}

/** Return when the bar opened that was running 24 hours ago. */
function openingS(): number {
  return Math.floor((Date.now() / 1000 - DAY_S) / BAR_S) * BAR_S;
}
