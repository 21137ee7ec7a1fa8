/**
 * History and live bars of one symbol as one series, without a seam: what a chart shows.
 *
 *     const series = new BarSeries(history, live, "BTCUSDT", "1m");
 *     series.on("reset", (bars) => chart.setData(bars));
 *     series.on("update", (bar, isOlder) => chart.update(bar, isOlder));
 *     await series.load();
 *
 * That is the whole of it with Lightweight Charts, from version 5.1 on. Pure history comes with a version, and the
 * stream goes on after it: that one number is the seam.
 *
 * The rules of this file:
 * - Bars are in order of their time, each once. A bar replaces the one of its time.
 * - `update` is for one bar that is shown already, or that follows the last one. Everything else is a `reset` with
 *   all of them: older bars were loaded, a bar appeared between others, or the history had to be loaded anew.
 * - A correction that comes while the page is loaded to which it belongs is put into that page.
 */

import type { Bar, History, HistoryWindow } from "./history.js";
import type { LiveBar, LiveBars } from "./live_bars.js";

const FIRST_PAGE = 500;

export interface BarSeriesEvents {
  /** All bars, oldest first. */
  reset: (bars: readonly Bar[]) => void;
  /** One bar; whether it is older than the last one. */
  update: (bar: Bar, isOlder: boolean) => void;
  /** The history had to be loaded anew, and could not be: `load()` tries again. */
  error: (error: unknown) => void;
}

export class BarSeries {
  /** Whether there is nothing before the first bar. */
  isWhole = false;
  readonly #listeners: { [Name in keyof BarSeriesEvents]?: Set<BarSeriesEvents[Name]> } = {};
  #bars: Bar[] = [];
  #stopListening: () => void = () => {};
  /** Corrections of what is being loaded. */
  #early: LiveBar[] | null = null;
  #loading: Promise<number> | null = null;
  /** Rises when what is under way is no longer wanted. */
  #turn = 0;

  constructor(
    private readonly history: History,
    private readonly live: LiveBars,
    readonly symbol: string,
    readonly interval: string,
  ) {}

  get bars(): readonly Bar[] {
    return this.#bars;
  }

  /** Call a function at every event. Returns what takes it off again. */
  on<Name extends keyof BarSeriesEvents>(name: Name, listener: BarSeriesEvents[Name]): () => void {
    const listeners: Set<BarSeriesEvents[Name]> = this.#listeners[name] ?? new Set();
    (this.#listeners as Record<Name, typeof listeners>)[name] = listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** Load the newest bars, and go on live. Throws HistoryError. */
  async load(countback = FIRST_PAGE): Promise<void> {
    const turn = ++this.#turn;
    const window = await this.history.bars(this.symbol, this.interval, { countback });
    if (turn !== this.#turn) {
      return; // closed, or loaded again meanwhile
    }
    this.#stopListening();
    this.#bars = window.bars;
    this.isWhole = window.bars.length < countback;
    this.#loading = this.#early = null;
    this.#tell("reset", this.#bars);
    this.#stopListening = this.live.listen(this.symbol, this.interval, window.asOfUs || undefined, {
      onBar: (bar) => this.#onBar(bar),
      onOutOfReach: () => this.#reload(),
    });
  }

  /** Load bars before the first one; returns how many there were, 0 at the beginning. Throws HistoryError. */
  loadOlder(count = FIRST_PAGE): Promise<number> {
    if (this.#loading === null) {
      const loading = this.#loadOlder(count).finally(() => {
        if (this.#loading === loading) {
          this.#loading = this.#early = null;
        }
      });
      this.#loading = loading;
    }
    return this.#loading;
  }

  /** Stop. Nothing is told any more. */
  close(): void {
    this.#turn++;
    this.#stopListening();
    this.#stopListening = () => {};
  }

  async #loadOlder(count: number): Promise<number> {
    if (this.isWhole || this.#bars.length === 0) {
      return 0;
    }
    const turn = this.#turn;
    this.#early = [];
    const wish = { to: this.#bars[0].time, countback: count };
    const window = await this.history.bars(this.symbol, this.interval, wish);
    if (turn !== this.#turn) {
      return 0;
    }
    this.isWhole = window.bars.length < count;
    const older = withCorrections(window, this.#early);
    this.#bars = [...older, ...this.#bars];
    this.#tell("reset", this.#bars);
    return older.length;
  }

  #onBar(bar: LiveBar): void {
    const last = this.#bars.at(-1);
    if (last === undefined || bar.time > last.time) {
      this.#bars.push(bar);
      this.#tell("update", bar, false);
    } else if (bar.time < this.#bars[0].time) {
      this.#early?.push(bar);
    } else {
      this.#replace(bar, bar.time < last.time);
    }
  }

  #replace(bar: LiveBar, isOlder: boolean): void {
    const place = placeOf(this.#bars, bar.time);
    const before = this.#bars[place];
    if (before.time !== bar.time) {
      this.#bars.splice(place, 0, bar);
      this.#tell("reset", this.#bars);
    } else if (!isSame(before, bar)) {
      this.#bars[place] = bar;
      this.#tell("update", bar, isOlder);
    }
  }

  #reload(): void {
    this.load(Math.max(this.#bars.length, 1)).catch((error: unknown) => this.#tell("error", error));
  }

  #tell<Name extends keyof BarSeriesEvents>(
    name: Name,
    ...told: globalThis.Parameters<BarSeriesEvents[Name]>
  ): void {
    for (const listener of this.#listeners[name] ?? []) {
      (listener as (...told: unknown[]) => void)(...told);
    }
  }
}

/** Whether two states of a bar look the same. */
export function isSame(one: Bar, other: Bar): boolean {
  const fields = ["open", "high", "low", "close", "volume"] as const;
  return fields.every((field) => one[field] === other[field]);
}

/** Put what changed while a page was under way into it, unless the page has it already. */
function withCorrections({ bars, asOfUs }: HistoryWindow, corrections: LiveBar[]): Bar[] {
  const newer = corrections.filter((bar) => bar.versionUs === 0 || bar.versionUs > asOfUs);
  const byTime = new Map<number, Bar>(newer.map((bar) => [bar.time, bar]));
  return bars.map((bar) => byTime.get(bar.time) ?? bar);
}

/** Return where the first bar stands that opens at a time or later. */
function placeOf(bars: readonly Bar[], time: number): number {
  let [low, high] = [0, bars.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    [low, high] = bars[middle].time < time ? [middle + 1, high] : [low, middle];
  }
  return low;
}
