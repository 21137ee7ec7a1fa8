/**
 * Whether the trades of one symbol are all there: every id once, or a word about why not.
 *
 * The rules of this file:
 * - Ids rise by 1. A gap that the gateway has announced explains a jump over it; any other jump is a hole that
 *   nobody explained, and is reported.
 * - A trade below the last one is new if it fills a hole, and a double otherwise.
 * - A hole that is open is resumed from: what was recovered while this client was away comes then, and what it
 *   has already comes doubled, and is dropped here.
 * - A lost gap without ids says that the venue counts anew: so does this.
 * - At most `MAX_HOLES` are remembered. Full: the oldest is forgotten, and what fills it later is dropped.
 */

import { GapState } from "./frames_trades.js";
import { idPlus, type TradeId } from "./u64.js";

const MAX_HOLES = 100;

/** First and last id, inclusive. */
export type IdRange = readonly [first: TradeId, last: TradeId];

export interface GapNews {
  state: number;
  firstId: TradeId;
  lastId: TradeId;
}

/** The ids of one symbol that have arrived. */
export class TradeIds {
  /** The highest; 0 before the first, which is a beginning and no jump. */
  lastId: TradeId;
  #holes: IdRange[] = [];
  /** What the gateway said, lost or open, of ids above the last one. */
  #told: IdRange[] = [];
  #lost: IdRange[] = [];

  constructor(lastId: TradeId = 0) {
    this.lastId = lastId;
  }

  /** The last id before anything that may still come. */
  get resumeFrom(): TradeId {
    return this.#holes.length > 0 ? idPlus(this.#holes[0][0], -1) : this.lastId;
  }

  /** Say whether a trade is new, and which ids before it are missing without a word. */
  onTrade(id: TradeId): { isNew: boolean; unexplained: IdRange[] } {
    if (id <= this.lastId) {
      return { isNew: this.#fill(id), unexplained: [] };
    }
    const next = idPlus(this.lastId, 1);
    let unexplained: IdRange[] = [];
    if (this.lastId && id > next) {
      const jump: IdRange[] = [[next, idPlus(id, -1)]];
      unexplained = without(jump, this.#told);
      this.#holes = [...this.#holes, ...without(jump, this.#lost)].slice(-MAX_HOLES);
    }
    this.lastId = id;
    if (this.#told.length > 0) {
      this.#told = this.#told.filter(([, last]) => last > id);
      this.#lost = this.#lost.filter(([, last]) => last > id);
    }
    return { isNew: true, unexplained };
  }

  /** Take in what the gateway says of a hole. */
  onGap(gap: GapNews): void {
    if (gap.state === GapState.LOST && !gap.lastId) {
      this.lastId = 0;
      this.#holes = this.#told = this.#lost = [];
      return;
    }
    const told: IdRange = [gap.firstId, gap.lastId];
    if (gap.state === GapState.LOST) {
      this.#holes = without(this.#holes, [told]);
    }
    if (gap.state !== GapState.FILLED && gap.lastId > this.lastId) {
      this.#told = [...this.#told, told].slice(-MAX_HOLES);
      if (gap.state === GapState.LOST) {
        this.#lost = [...this.#lost, told].slice(-MAX_HOLES);
      }
    }
  }

  #fill(id: TradeId): boolean {
    if (!this.#holes.some(([first, last]) => first <= id && id <= last)) {
      return false;
    }
    this.#holes = without(this.#holes, [[id, id]]);
    return true;
  }
}

/** Cut ranges out of ranges. */
function without(ranges: IdRange[], others: readonly IdRange[]): IdRange[] {
  return others.reduce((left, other) => left.flatMap((one) => cut(one, other)), ranges);
}

function cut([first, last]: IdRange, [start, end]: IdRange): IdRange[] {
  if (end < first || last < start) {
    return [[first, last]];
  }
  const parts: IdRange[] = [
    [first, idPlus(start, -1)],
    [idPlus(end, 1), last],
  ];
  return parts.filter(([from, to]) => from <= to);
}
