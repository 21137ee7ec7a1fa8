/**
 * A v1 frame: symbol, price, volume. Its records of 18 bytes are not aligned, so a DataView reads them.
 *
 *     0  u32 crc32   4  u16 count   6  records: 0 u16 symbol id, 2 f64 price, 10 f64 volume
 */

import type { Amounts } from "./amounts.js";
import { PriceColumns } from "./price_columns.js";

export const V1_HEADER_BYTES = 6;
export const V1_RECORD_BYTES = 18;

const PRICE = V1_HEADER_BYTES + 2;
const VOLUME = V1_HEADER_BYTES + 10;
export const V1_AMOUNTS: Amounts = [
  ["price", 2],
  ["volume", 10],
];

/** One record as an object. */
export interface RowV1 {
  symbolId: number;
  price: number;
  volume: number;
}

/** The records of a v1 frame, where they arrived. */
export class FrameV1 {
  readonly count: number;
  readonly view: DataView<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.count = this.view.getUint16(4, true);
  }

  get crc(): number {
    return this.view.getUint32(0, true);
  }

  symbolId(index: number): number {
    return this.view.getUint16(V1_HEADER_BYTES + V1_RECORD_BYTES * index, true);
  }

  price(index: number): number {
    return this.view.getFloat64(PRICE + V1_RECORD_BYTES * index, true);
  }

  /** The rolling 24 h volume in the base unit. */
  volume(index: number): number {
    return this.view.getFloat64(VOLUME + V1_RECORD_BYTES * index, true);
  }

  /** Copy a field of all records out. */
  column(name: keyof RowV1): Float64Array {
    return Float64Array.from({ length: this.count }, (_, index) => this[name](index));
  }

  /** Copy all fields out, into columns that may have been used before. */
  columns(into: PriceColumns = new PriceColumns()): PriceColumns {
    const { view, count } = this;
    into.resize(count);
    const { symbolId, price, volume } = into;
    for (let i = 0, at = V1_HEADER_BYTES; i < count; i++, at += V1_RECORD_BYTES) {
      symbolId[i] = view.getUint16(at, true);
      price[i] = view.getFloat64(at + 2, true);
      volume[i] = view.getFloat64(at + 10, true);
    }
    return into;
  }

  row(index: number): RowV1 {
    return { symbolId: this.symbolId(index), price: this.price(index), volume: this.volume(index) };
  }

  rows(): RowV1[] {
    const rows = new Array<RowV1>(this.count);
    for (let index = 0; index < rows.length; index++) {
      rows[index] = this.row(index);
    }
    return rows;
  }
}
