/**
 * What all v2 frames have in common, and those of which the records are aligned to 8 bytes: all but COMPACT. Typed
 * arrays read these: `u32` and `f64` are the whole frame, header and all, seen as words and as floats.
 *
 *     word 0 crc32   1 count, version, kind   2 and 3 time_us   4 … the records
 *
 * So `frame.f64[2 + 3 * i + 1]` is the price of record i of a PRICE frame, which is what `frame.price(i)` says.
 * The kinds are in `frames_newest.ts`, `frames_trades.ts`, `frames_candles.ts` and `frames_compact.ts`.
 */

import type { Amounts } from "./amounts.js";
import { u64Exactly, u64Rounded } from "./u64.js";

export const HEADER_BYTES = 16;
export const HEADER_WORDS = 4;
export const HEADER_FLOATS = 2;

export const Kind = {
  PRICE: 1,
  QUOTE: 2,
  TRADE: 3,
  CANDLE: 4,
  ENIGMA: 5,
  GAP: 6,
  BASE: 7,
  COMPACT: 8,
} as const;

/** A field of a record. A trade id is a bigint where a number would not be exact. */
type Field = number | bigint;
type Fields<Row> = { [Name in keyof Row]: Field };

/** The records of a frame, where they arrived. `Row` is a record as an object; its fields are methods here. */
export abstract class FrameV2<Row extends Fields<Row> = Record<string, Field>> {
  static readonly recordBytes: number;
  static readonly amounts: Amounts;
  abstract readonly kind: number;
  abstract readonly count: number;
  abstract readonly crc: number;
  /** When the frame was encoded, in microseconds since 1970; of CANDLE frames their version. */
  abstract readonly timeUs: number;

  /** The same without rounding, which begins in 2255. */
  abstract timeUsExactly(): bigint;
  abstract symbolId(index: number): number;
  abstract row(index: number): Row;

  rows(): Row[] {
    const rows = new Array<Row>(this.count); // Array.from would take twice the time of the rest
    for (let index = 0; index < rows.length; index++) {
      rows[index] = this.row(index);
    }
    return rows;
  }

  /** Copy a field of all records out. Whole numbers above 2^53 are rounded. */
  column(name: keyof Row & string): Float64Array {
    const fields = this as unknown as Record<string, (index: number) => Field>;
    return Float64Array.from({ length: this.count }, (_, index) => Number(fields[name](index)));
  }
}

export abstract class AlignedFrame<Row extends Fields<Row>> extends FrameV2<Row> {
  readonly count: number;
  readonly u32: Uint32Array<ArrayBuffer>;
  readonly f64: Float64Array<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    super();
    this.u32 = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
    this.f64 = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 3);
    this.count = this.u32[1] & 0xffff;
  }

  get crc(): number {
    return this.u32[0];
  }

  get timeUs(): number {
    return u64Rounded(this.u32, 2);
  }

  timeUsExactly(): bigint {
    return u64Exactly(this.u32, 2);
  }
}
