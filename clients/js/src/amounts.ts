/**
 * What a float may be that states an amount: a price, a size, a volume. Not NaN, not infinite, not negative.
 *
 * The last byte of a float holds its sign and the upper part of its exponent. Below 0x7f it is an amount for
 * sure, from 0 up to about 5e303; so that byte is all that is looked at, unless it looks wrong.
 */

import { BadValue } from "./errors.js";

/** The fields of a record that state amounts, and the bytes before them in it. */
export type Amounts = readonly (readonly [field: string, offset: number])[];

const LAST_BYTE = 7;
const SUSPICIOUS = 0x7f;

/** Throw BadValue if one of the amounts in the records of a frame is none. */
export function checkAmounts(
  bytes: Uint8Array,
  headerBytes: number,
  recordBytes: number,
  amounts: Amounts,
): void {
  let suspicion = 0;
  for (let field = 0; field < amounts.length; field++) {
    // Joined instead of asked one by one: of a byte from 0x7f on, one more sets this bit or the one above it.
    for (let at = headerBytes + amounts[field][1] + LAST_BYTE; at < bytes.length; at += recordBytes) {
      suspicion |= bytes[at] + 1;
    }
  }
  if (suspicion > SUSPICIOUS) {
    checkExactly(bytes, headerBytes, recordBytes, amounts);
  }
}

function checkExactly(bytes: Uint8Array, headerBytes: number, recordBytes: number, amounts: Amounts): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = headerBytes; start < bytes.length; start += recordBytes) {
    for (const [field, offset] of amounts) {
      const value = view.getFloat64(start + offset, true);
      if (!(value >= 0 && value < Number.POSITIVE_INFINITY) || Object.is(value, -0)) {
        throw new BadValue(field, value);
      }
    }
  }
}
