/**
 * The bars of a stream, by series (a symbol in an interval): who shows one says from which version on it needs it.
 *
 * The rules of this file:
 * - Every change after that version comes, of bars however old; one that comes twice is like the first time.
 * - Bars of one frame come oldest first, so that a bar which became final precedes the one that follows it.
 * - When the gateway cannot give every change any more, it says so, and the history has to be loaded again.
 * - A series that nobody shows any more is not asked for any longer.
 */

import type { RefusedEvent } from "./events.js";
import type { Bar } from "./history.js";
import type { Stream } from "./stream.js";
import { fullName } from "./symbols.js";
import type { CandleUpdate } from "./updates.js";

/** A bar as it is now. */
export interface LiveBar extends Bar {
  final: boolean;
  revision: number;
  /** The version of its frame; 0 where that was not known. */
  versionUs: number;
}

export interface BarListener {
  onBar(bar: LiveBar): void;
  /** Not every change can be had: load the history again. Bars go on from now. */
  onOutOfReach(): void;
}

export class LiveBars {
  readonly #stream: Stream;
  readonly #series = new Map<string, Set<BarListener>>();

  constructor(stream: Stream) {
    this.#stream = stream;
    stream.on("candles", ({ candles }) => {
      for (const candle of candles) {
        this.#onCandle(candle);
      }
    });
    stream.on("refused", (refusal) => this.#onRefused(refusal));
  }

  /** Listen to a series from after a version on; undefined: from its newest bar on. Returns how to stop. */
  listen(symbol: string, interval: string, sinceUs: number | undefined, listener: BarListener): () => void {
    const key = keyOf(symbol, interval);
    const listeners = this.#series.get(key) ?? new Set();
    this.#series.set(key, listeners.add(listener));
    const wish = { kinds: ["candle"] as const, intervals: [interval] };
    this.#stream.subscribe([symbol], sinceUs === undefined ? wish : { ...wish, sinceUs });
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) {
        this.#series.delete(key);
        this.#stream.unsubscribe([symbol], { intervals: [interval] });
      }
    };
  }

  #onCandle(candle: CandleUpdate): void {
    const listeners = this.#series.get(keyOf(candle.entry.name, candle.interval));
    if (listeners !== undefined) {
      const bar = liveBarOf(candle);
      for (const listener of [...listeners]) {
        listener.onBar(bar);
      }
    }
  }

  #onRefused({ code, symbols, intervals }: RefusedEvent): void {
    if (code === "candles_out_of_reach") {
      const keys = symbols.flatMap((symbol) => intervals.map((interval) => keyOf(symbol, interval)));
      for (const listener of keys.flatMap((key) => [...(this.#series.get(key) ?? [])])) {
        listener.onOutOfReach();
      }
    }
  }
}

/** Volumes are sums of lots: they are put back on the grid of lots, which adding up floats has left. */
function liveBarOf(candle: CandleUpdate): LiveBar {
  const { open, high, low, close, final, revision, versionUs } = candle;
  const volume = Number(candle.volume.toFixed(candle.entry.quantity_precision));
  return { time: candle.openMs / 1000, open, high, low, close, volume, final, revision, versionUs };
}

function keyOf(symbol: string, interval: string): string {
  return `${fullName(symbol)} ${interval}`;
}
