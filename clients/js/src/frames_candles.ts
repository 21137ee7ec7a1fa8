/**
 * The v2 frame of bars. The frame's time is a version: whoever has read it has every change up to it.
 *
 *     0 u16 symbol id   2 u16 interval   4 u16 flags   6 u16 revision   8 u64 opening in ms   16 f64 open
 *     24 f64 high   32 f64 low   40 f64 close   48 f64 volume   56 u32 trades   60 u32 pad   64 f64 taker buy
 */

import type { Amounts } from "./amounts.js";
import { AlignedFrame, HEADER_FLOATS, HEADER_WORDS, Kind } from "./frames_v2.js";
import { u64Rounded } from "./u64.js";

const FINAL = 1;
const FROM_REST = 2;
const REBUILT = 4;

/** What a bar was made of: single trades as they came, the venue's own bar, or trades that came late. */
export type CandleSource = "live" | "rest" | "rebuilt";

export interface CandleRow {
  symbolId: number;
  /** In minutes; 43,200 stands for a month. */
  interval: number;
  flags: number;
  /** How often it was corrected after it had been final. */
  revision: number;
  openMs: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  trades: number;
  /** The part of `volume` that takers bought. */
  takerBuy: number;
}

export class CandleFrame extends AlignedFrame<CandleRow> {
  static override readonly recordBytes = 72;
  static override readonly amounts: Amounts = [
    ["open", 16],
    ["high", 24],
    ["low", 32],
    ["close", 40],
    ["volume", 48],
    ["takerBuy", 64],
  ];
  readonly kind = Kind.CANDLE;

  symbolId(index: number): number {
    return this.u32[HEADER_WORDS + 18 * index] & 0xffff;
  }

  interval(index: number): number {
    return this.u32[HEADER_WORDS + 18 * index] >>> 16;
  }

  flags(index: number): number {
    return this.u32[HEADER_WORDS + 18 * index + 1] & 0xffff;
  }

  revision(index: number): number {
    return this.u32[HEADER_WORDS + 18 * index + 1] >>> 16;
  }

  openMs(index: number): number {
    return u64Rounded(this.u32, HEADER_WORDS + 18 * index + 2);
  }

  open(index: number): number {
    return this.f64[HEADER_FLOATS + 9 * index + 2];
  }

  high(index: number): number {
    return this.f64[HEADER_FLOATS + 9 * index + 3];
  }

  low(index: number): number {
    return this.f64[HEADER_FLOATS + 9 * index + 4];
  }

  close(index: number): number {
    return this.f64[HEADER_FLOATS + 9 * index + 5];
  }

  volume(index: number): number {
    return this.f64[HEADER_FLOATS + 9 * index + 6];
  }

  trades(index: number): number {
    return this.u32[HEADER_WORDS + 18 * index + 14];
  }

  takerBuy(index: number): number {
    return this.f64[HEADER_FLOATS + 9 * index + 8];
  }

  row(index: number): CandleRow {
    return {
      symbolId: this.symbolId(index),
      interval: this.interval(index),
      flags: this.flags(index),
      revision: this.revision(index),
      openMs: this.openMs(index),
      open: this.open(index),
      high: this.high(index),
      low: this.low(index),
      close: this.close(index),
      volume: this.volume(index),
      trades: this.trades(index),
      takerBuy: this.takerBuy(index),
    };
  }

  isFinal(index: number): boolean {
    return (this.flags(index) & FINAL) !== 0;
  }

  source(index: number): CandleSource {
    const flags = this.flags(index);
    return flags & REBUILT ? "rebuilt" : flags & FROM_REST ? "rest" : "live";
  }
}
