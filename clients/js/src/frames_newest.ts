/**
 * The v2 frames of which the newest value of a symbol counts: PRICE, QUOTE and ENIGMA.
 *
 *     all      0 u16 symbol id   2 u16 flags   4 i32 delay in us
 *     PRICE    8 f64 price    16 f64 volume                                            24 bytes
 *     QUOTE    8 f64 bid      16 f64 bid size   24 f64 ask    32 f64 ask size          40 bytes
 *     ENIGMA   8 f64 level    16 f64 low        24 f64 high                            32 bytes
 */

import type { Amounts } from "./amounts.js";
import { AlignedFrame, HEADER_FLOATS, HEADER_WORDS, Kind } from "./frames_v2.js";
import { PriceColumns } from "./price_columns.js";

const FROM_RECEIPT = 1;

interface NewestRow {
  symbolId: number;
  /** Bit 0: the delay counts from receipt. The high byte: for how many changes this one stands. */
  flags: number;
  /** How old the value was when the frame was encoded; negative where the venue's clock is ahead. */
  delayUs: number;
}

export interface PriceRow extends NewestRow {
  price: number;
  /** Rolling 24 h volume in the base unit. */
  volume: number;
}

export interface QuoteRow extends NewestRow {
  bid: number;
  bidSize: number;
  ask: number;
  askSize: number;
}

export interface EnigmaRow extends NewestRow {
  /** 0 at the all-time low, 100 at the all-time high. */
  level: number;
  low: number;
  high: number;
}

/** What the three have in common. */
export abstract class NewestFrame<Row extends NewestRow> extends AlignedFrame<{
  [Name in keyof Row]: number;
}> {
  abstract flags(index: number): number;
  abstract delayUs(index: number): number;

  /** For how many changes a record stands, itself included; 255 is that or more. */
  changes(index: number): number {
    return this.flags(index) >>> 8 || 1;
  }

  /** Whether the venue stated no time: the delay counts from when it reached the gateway. */
  isFromReceipt(index: number): boolean {
    return (this.flags(index) & FROM_RECEIPT) !== 0;
  }
}

export class PriceFrame extends NewestFrame<PriceRow> {
  static override readonly recordBytes = 24;
  static override readonly amounts: Amounts = [
    ["price", 8],
    ["volume", 16],
  ];
  readonly kind = Kind.PRICE;

  symbolId(index: number): number {
    return this.u32[HEADER_WORDS + 6 * index] & 0xffff;
  }

  flags(index: number): number {
    return this.u32[HEADER_WORDS + 6 * index] >>> 16;
  }

  delayUs(index: number): number {
    return this.u32[HEADER_WORDS + 6 * index + 1] | 0;
  }

  price(index: number): number {
    return this.f64[HEADER_FLOATS + 3 * index + 1];
  }

  volume(index: number): number {
    return this.f64[HEADER_FLOATS + 3 * index + 2];
  }

  /** Copy symbols, prices and volumes out, into columns that may have been used before. */
  columns(into: PriceColumns = new PriceColumns()): PriceColumns {
    const { u32, f64, count } = this;
    into.resize(count);
    const { symbolId, price, volume } = into;
    for (let i = 0; i < count; i++) {
      symbolId[i] = u32[HEADER_WORDS + 6 * i]; // the array keeps the lower half, which is the id
      price[i] = f64[HEADER_FLOATS + 3 * i + 1];
      volume[i] = f64[HEADER_FLOATS + 3 * i + 2];
    }
    return into;
  }

  row(index: number): PriceRow {
    return {
      symbolId: this.symbolId(index),
      flags: this.flags(index),
      delayUs: this.delayUs(index),
      price: this.price(index),
      volume: this.volume(index),
    };
  }
}

export class QuoteFrame extends NewestFrame<QuoteRow> {
  static override readonly recordBytes = 40;
  static override readonly amounts: Amounts = [
    ["bid", 8],
    ["bidSize", 16],
    ["ask", 24],
    ["askSize", 32],
  ];
  readonly kind = Kind.QUOTE;

  symbolId(index: number): number {
    return this.u32[HEADER_WORDS + 10 * index] & 0xffff;
  }

  flags(index: number): number {
    return this.u32[HEADER_WORDS + 10 * index] >>> 16;
  }

  delayUs(index: number): number {
    return this.u32[HEADER_WORDS + 10 * index + 1] | 0;
  }

  bid(index: number): number {
    return this.f64[HEADER_FLOATS + 5 * index + 1];
  }

  bidSize(index: number): number {
    return this.f64[HEADER_FLOATS + 5 * index + 2];
  }

  ask(index: number): number {
    return this.f64[HEADER_FLOATS + 5 * index + 3];
  }

  askSize(index: number): number {
    return this.f64[HEADER_FLOATS + 5 * index + 4];
  }

  row(index: number): QuoteRow {
    return {
      symbolId: this.symbolId(index),
      flags: this.flags(index),
      delayUs: this.delayUs(index),
      bid: this.bid(index),
      bidSize: this.bidSize(index),
      ask: this.ask(index),
      askSize: this.askSize(index),
    };
  }
}

export class EnigmaFrame extends NewestFrame<EnigmaRow> {
  static override readonly recordBytes = 32;
  static override readonly amounts: Amounts = [
    ["level", 8],
    ["low", 16],
    ["high", 24],
  ];
  readonly kind = Kind.ENIGMA;

  symbolId(index: number): number {
    return this.u32[HEADER_WORDS + 8 * index] & 0xffff;
  }

  flags(index: number): number {
    return this.u32[HEADER_WORDS + 8 * index] >>> 16;
  }

  delayUs(index: number): number {
    return this.u32[HEADER_WORDS + 8 * index + 1] | 0;
  }

  level(index: number): number {
    return this.f64[HEADER_FLOATS + 4 * index + 1];
  }

  low(index: number): number {
    return this.f64[HEADER_FLOATS + 4 * index + 2];
  }

  high(index: number): number {
    return this.f64[HEADER_FLOATS + 4 * index + 3];
  }

  row(index: number): EnigmaRow {
    return {
      symbolId: this.symbolId(index),
      flags: this.flags(index),
      delayUs: this.delayUs(index),
      level: this.level(index),
      low: this.low(index),
      high: this.high(index),
    };
  }
}
