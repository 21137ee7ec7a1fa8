/**
 * The v2 frames of compact prices: BASE, whole numbers to count from, and COMPACT, how far a price is from them.
 *
 *     BASE      0 u16 symbol id   2 u8 digits of the price   3 u8 digits of the volume   4 u32 pad
 *               8 i64 price       16 i64 volume                                                     24 bytes
 *     COMPACT   0 u16 symbol id   2 i16 price   4 i24 volume                          not aligned,   7 bytes
 *
 * The rules of this file:
 * - price = (price of the BASE + price) / 10^digits: two whole numbers that are exact as floats and one division,
 *   so the result is the very float that a PRICE would carry. Volumes likewise.
 * - The last BASE of a symbol holds. It belongs to a connection: after a reconnect there are none.
 * - A COMPACT without a BASE, or whose sum is below 0 or not below 2^53, is refused; so is such a BASE.
 */

import type { Amounts } from "./amounts.js";
import { BadValue, UnknownBase } from "./errors.js";
import { AlignedFrame, FrameV2, HEADER_BYTES, HEADER_WORDS, Kind } from "./frames_v2.js";
import { PriceColumns } from "./price_columns.js";
import { u64Rounded } from "./u64.js";

const RECORD_BYTES = 7;
const MAX_DIGITS = 18;
const TWO_TO_53 = 2 ** 53;
/** How far a COMPACT can be from its BASE. */
const MAX_STEP = 2 ** 23;
/** As floats; each of them is exact. */
const POWERS_OF_TEN = Array.from({ length: MAX_DIGITS + 1 }, (_, digits) => Number(`1e${digits}`));

export interface BaseRow {
  symbolId: number;
  priceDigits: number;
  volumeDigits: number;
  /** In units of 10^-priceDigits. */
  price: number;
  /** In units of 10^-volumeDigits. */
  volume: number;
}

/** Differences from the BASE, in its units. */
export interface CompactRow {
  symbolId: number;
  price: number;
  volume: number;
}

export class BaseFrame extends AlignedFrame<BaseRow> {
  static override readonly recordBytes = 24;
  static override readonly amounts: Amounts = [];
  readonly kind = Kind.BASE;

  symbolId(index: number): number {
    return this.u32[HEADER_WORDS + 6 * index] & 0xffff;
  }

  priceDigits(index: number): number {
    return (this.u32[HEADER_WORDS + 6 * index] >>> 16) & 0xff;
  }

  volumeDigits(index: number): number {
    return this.u32[HEADER_WORDS + 6 * index] >>> 24;
  }

  price(index: number): number {
    return u64Rounded(this.u32, HEADER_WORDS + 6 * index + 2);
  }

  volume(index: number): number {
    return u64Rounded(this.u32, HEADER_WORDS + 6 * index + 4);
  }

  row(index: number): BaseRow {
    return {
      symbolId: this.symbolId(index),
      priceDigits: this.priceDigits(index),
      volumeDigits: this.volumeDigits(index),
      price: this.price(index),
      volume: this.volume(index),
    };
  }

  /** Throw BadValue if a base is none that whole floats can count from. */
  check(): void {
    for (let index = 0; index < this.count; index++) {
      for (const field of ["priceDigits", "volumeDigits"] as const) {
        if (this[field](index) > MAX_DIGITS) {
          throw new BadValue(field, this[field](index));
        }
      }
      for (const field of ["price", "volume"] as const) {
        // One below 0 has its highest bit set, and reads as 2^63 and more.
        if (this[field](index) >= TWO_TO_53) {
          throw new BadValue(field, this[field](index));
        }
      }
    }
  }
}

/** What it says takes a `Bases` to know: `bases.columns(frame)`. */
export class CompactFrame extends FrameV2<CompactRow> {
  static override readonly recordBytes = RECORD_BYTES;
  static override readonly amounts: Amounts = [];
  readonly kind = Kind.COMPACT;
  readonly count: number;
  readonly view: DataView<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    super();
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.count = this.view.getUint16(4, true);
  }

  get crc(): number {
    return this.view.getUint32(0, true);
  }

  get timeUs(): number {
    return Number(this.timeUsExactly());
  }

  timeUsExactly(): bigint {
    return this.view.getBigUint64(8, true);
  }

  symbolId(index: number): number {
    return this.view.getUint16(HEADER_BYTES + RECORD_BYTES * index, true);
  }

  price(index: number): number {
    return this.view.getInt16(HEADER_BYTES + RECORD_BYTES * index + 2, true);
  }

  volume(index: number): number {
    return int24(this.view, HEADER_BYTES + RECORD_BYTES * index + 4);
  }

  row(index: number): CompactRow {
    return { symbolId: this.symbolId(index), price: this.price(index), volume: this.volume(index) };
  }
}

/** What compact prices count from, by symbol id. */
export class Bases {
  /** Four for each id: the price in units (NaN: there is no base), how many of them are 1, the same of the volume. */
  #units = new Float64Array(0);
  /** Whether a sum with one of them may be 2^53 or more. No market comes near that, so no record is asked. */
  #isNearEnd = false;

  /** Take in what a BASE frame says. */
  update(frame: BaseFrame): void {
    for (let index = 0; index < frame.count; index++) {
      const at = 4 * frame.symbolId(index);
      this.#makeRoom(at + 4);
      const [price, volume] = [frame.price(index), frame.volume(index)];
      this.#units[at] = price;
      this.#units[at + 1] = POWERS_OF_TEN[frame.priceDigits(index)];
      this.#units[at + 2] = volume;
      this.#units[at + 3] = POWERS_OF_TEN[frame.volumeDigits(index)];
      this.#isNearEnd ||= Math.max(price, volume) >= TWO_TO_53 - MAX_STEP;
    }
  }

  /** Forget them all: another connection begins. */
  clear(): void {
    this.#units.fill(Number.NaN);
    this.#isNearEnd = false;
  }

  /** Return what a COMPACT frame says. Throws UnknownBase or BadValue. */
  columns(frame: CompactFrame, into: PriceColumns = new PriceColumns()): PriceColumns {
    const { view, count } = frame;
    const units = this.#units;
    into.resize(count);
    const { symbolId, price, volume } = into;
    let areAmounts = true;
    for (let i = 0, at = HEADER_BYTES; i < count; i++, at += RECORD_BYTES) {
      const idAndPrice = view.getInt32(at, true);
      const id = idAndPrice & 0xffff;
      const base = 4 * id;
      const priceUnits = units[base] + (idAndPrice >> 16);
      const volumeUnits = units[base + 2] + int24(view, at + 4);
      // Of no base, and of one beyond the end, the sum is NaN. What is wrong is found out later: it costs less.
      areAmounts &&= priceUnits >= 0 && volumeUnits >= 0;
      symbolId[i] = id;
      price[i] = priceUnits / units[base + 1];
      volume[i] = volumeUnits / units[base + 3];
    }
    if (!areAmounts || this.#isNearEnd) {
      this.#check(frame);
    }
    return into;
  }

  #check(frame: CompactFrame): void {
    for (let index = 0; index < frame.count; index++) {
      const base = 4 * frame.symbolId(index);
      if (!(this.#units[base] >= 0)) {
        throw new UnknownBase(frame.symbolId(index));
      }
      for (const [field, at] of [
        ["price", base],
        ["volume", base + 2],
      ] as const) {
        const sum = this.#units[at] + frame[field](index);
        if (sum < 0 || sum >= TWO_TO_53) {
          throw new BadValue(field, `${sum} units`);
        }
      }
    }
  }

  #makeRoom(length: number): void {
    if (length > this.#units.length) {
      const wider = new Float64Array(2 * length).fill(Number.NaN);
      wider.set(this.#units);
      this.#units = wider;
    }
  }
}

/** Read three bytes: four are read, of which the lowest belongs to the field before, and is shifted out. */
function int24(view: DataView, at: number): number {
  return view.getInt32(at - 1, true) >> 8;
}
