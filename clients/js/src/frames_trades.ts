/**
 * The v2 frames of the lossless lane: TRADE, and GAP, which says what is missing of it.
 *
 *     TRADE   0 u16 symbol id   2 u16 flags   4 u32 trades  8 u64 id         16 u64 exchange time in us
 *             24 f64 price      32 f64 quantity                                                   40 bytes
 *     GAP     0 u16 symbol id   2 u16 state   4 u32 cause   8 u64 first id   16 u64 last id
 *             24 u64 first us   32 u64 last us                                                    40 bytes
 */

import type { Amounts } from "./amounts.js";
import { AlignedFrame, HEADER_FLOATS, HEADER_WORDS, Kind } from "./frames_v2.js";
import { type TradeId, u64At, u64Rounded } from "./u64.js";

const TAKER_SOLD = 1;
const RECOVERED = 2;

/** Of a gap: may come yet, has come (or nothing was missing), will not come. */
export const GapState = { OPEN: 0, FILLED: 1, LOST: 2 } as const;

export interface TradeRow {
  symbolId: number;
  flags: number;
  /** How many of the venue's single trades this one aggregates. */
  tradesJoined: number;
  /** The venue's own: it rises by 1. */
  id: TradeId;
  /** When it traded, by the venue's clock. */
  exchangeUs: number;
  price: number;
  quantity: number;
}

export interface GapRow {
  symbolId: number;
  state: number;
  cause: number;
  /** The first and last missing trade; both 0 where the venue counts anew. */
  firstId: TradeId;
  lastId: TradeId;
  /** The venue's times of the trades around them; 0 where they are not known. */
  firstUs: number;
  lastUs: number;
}

export class TradeFrame extends AlignedFrame<TradeRow> {
  static override readonly recordBytes = 40;
  static override readonly amounts: Amounts = [
    ["price", 24],
    ["quantity", 32],
  ];
  readonly kind = Kind.TRADE;

  symbolId(index: number): number {
    return this.u32[HEADER_WORDS + 10 * index] & 0xffff;
  }

  flags(index: number): number {
    return this.u32[HEADER_WORDS + 10 * index] >>> 16;
  }

  tradesJoined(index: number): number {
    return this.u32[HEADER_WORDS + 10 * index + 1];
  }

  id(index: number): TradeId {
    return u64At(this.u32, HEADER_WORDS + 10 * index + 2);
  }

  exchangeUs(index: number): number {
    return u64Rounded(this.u32, HEADER_WORDS + 10 * index + 4);
  }

  price(index: number): number {
    return this.f64[HEADER_FLOATS + 5 * index + 3];
  }

  quantity(index: number): number {
    return this.f64[HEADER_FLOATS + 5 * index + 4];
  }

  row(index: number): TradeRow {
    return {
      symbolId: this.symbolId(index),
      flags: this.flags(index),
      tradesJoined: this.tradesJoined(index),
      id: this.id(index),
      exchangeUs: this.exchangeUs(index),
      price: this.price(index),
      quantity: this.quantity(index),
    };
  }

  takerSold(index: number): boolean {
    return (this.flags(index) & TAKER_SOLD) !== 0;
  }

  /** Whether it was asked for later, because it was not heard live. */
  isRecovered(index: number): boolean {
    return (this.flags(index) & RECOVERED) !== 0;
  }
}

export class GapFrame extends AlignedFrame<GapRow> {
  static override readonly recordBytes = 40;
  static override readonly amounts: Amounts = [];
  readonly kind = Kind.GAP;

  symbolId(index: number): number {
    return this.u32[HEADER_WORDS + 10 * index] & 0xffff;
  }

  state(index: number): number {
    return this.u32[HEADER_WORDS + 10 * index] >>> 16;
  }

  cause(index: number): number {
    return this.u32[HEADER_WORDS + 10 * index + 1];
  }

  firstId(index: number): TradeId {
    return u64At(this.u32, HEADER_WORDS + 10 * index + 2);
  }

  lastId(index: number): TradeId {
    return u64At(this.u32, HEADER_WORDS + 10 * index + 4);
  }

  firstUs(index: number): number {
    return u64Rounded(this.u32, HEADER_WORDS + 10 * index + 6);
  }

  lastUs(index: number): number {
    return u64Rounded(this.u32, HEADER_WORDS + 10 * index + 8);
  }

  row(index: number): GapRow {
    return {
      symbolId: this.symbolId(index),
      state: this.state(index),
      cause: this.cause(index),
      firstId: this.firstId(index),
      lastId: this.lastId(index),
      firstUs: this.firstUs(index),
      lastUs: this.lastUs(index),
    };
  }
}
