/**
 * The discontinuities of one symbol that are on record: which bars they touched, and what became of them.
 *
 * The record is the gateway's ledger. It is read when the symbol is shown, when the stream speaks of a gap, and
 * from time to time: what was recovered in silence is worth a mark too.
 */

import type { Bar, History, Stream } from "tickgate";
import { fullName } from "tickgate/symbols";
import { formatCount } from "../amounts.js";
import { Signal } from "../signal.js";

const EVERY_MS = 30_000;
const SOON_MS = 400;
const MOST = 500;
const CAUSES: { [cause: string]: string } = {
  skipped: "ids jumped",
  connection_lost: "the connection to the venue was lost",
  rotated: "a connection was replaced",
  mute: "a connection delivered nothing",
  worker_restarted: "a feed worker was restarted",
  bus: "lost between two processes",
  overflow: "more waited than a queue holds",
  out_of_reach: "older than what can still be had",
  not_carried: "nobody watched the symbol",
};

export interface Gap {
  state: "open" | "filled" | "lost";
  cause: string;
  missing: number;
  first_id: number;
  last_id: number;
  first_ms: number;
  last_ms: number;
  noticed_ms: number;
}

export class Gaps {
  readonly changed = new Signal();
  readonly #history: History;
  #symbol = "";
  #gaps: readonly Gap[] = [];
  #soon = 0;

  constructor(history: History, stream: Stream) {
    this.#history = history;
    stream.on("gap", ({ entry }) => fullName(entry.name) === this.#symbol && this.#readSoon());
    stream.on("state", ({ state }) => state.name === "live" && this.#readSoon());
    setInterval(() => document.visibilityState === "visible" && this.#readSoon(), EVERY_MS);
  }

  /** Those that touched trades, oldest first. */
  get all(): readonly Gap[] {
    return this.#gaps;
  }

  /** How many are open and how many are lost. */
  count(state: Gap["state"]): number {
    return this.#gaps.filter((gap) => gap.state === state).length;
  }

  watch(symbol: string): void {
    this.#symbol = fullName(symbol);
    this.#gaps = [];
    this.changed.tell();
    this.#readSoon();
  }

  #readSoon(): void {
    clearTimeout(this.#soon);
    this.#soon = window.setTimeout(() => this.#read(this.#symbol), SOON_MS);
  }

  async #read(symbol: string): Promise<void> {
    if (symbol === "") {
      return;
    }
    try {
      const gaps = await this.#history.json<Gap[]>("/api/v1/gaps", { symbol, limit: MOST });
      if (symbol === this.#symbol) {
        this.#gaps = gaps.filter(hasTouchedTrades).reverse();
        this.changed.tell();
      }
    } catch {
      // What was known stays; it is asked again soon.
    }
  }
}

/** An entry without ids is evidence that a connection ended and nothing was missing. */
function hasTouchedTrades(gap: Gap): boolean {
  return gap.last_id > 0 && gap.last_id >= gap.first_id;
}

/** Say what a gap was, in words. */
export function describeGap({ state, cause, first_id, last_id, missing }: Gap): string {
  const touched = last_id - first_id + 1;
  const why = CAUSES[cause] ?? cause.replaceAll("_", " ");
  const what = {
    filled: `${formatCount(touched)} trades were missing, all recovered`,
    open: `${formatCount(missing)} trades missing, being asked for`,
    lost: `${formatCount(missing || touched)} trades lost`,
  }[state];
  return `${what}: ${why}`;
}

/** Return from which bar to which a gap reaches, as places in the bars; null: none of them. */
export function reachOf(gap: Gap, bars: readonly Bar[]): [first: number, last: number] | null {
  const from = gap.first_ms || gap.last_ms || gap.noticed_ms;
  const to = gap.last_ms || from;
  if (bars.length === 0 || to < bars[0].time * 1000) {
    return null;
  }
  return [Math.max(0, placeBefore(bars, from / 1000)), placeBefore(bars, to / 1000)];
}

/** Return the place of the last bar that opens at a time or before it; -1: none. */
function placeBefore(bars: readonly Bar[], time: number): number {
  let [low, high] = [0, bars.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    [low, high] = bars[middle].time <= time ? [middle + 1, high] : [low, middle];
  }
  return low - 1;
}
