/**
 * 64-bit whole numbers, which JavaScript's numbers hold exactly up to 2^53 only.
 *
 * Times are numbers: they stay exact until the year 2255. A trade id is a number as long as that is exact, and
 * a bigint beyond, so that the same id is always the same value: `<`, `===` and Map keys work for both.
 */

/** The venue's number of a trade. */
export type TradeId = number | bigint;

const TWO_TO_32 = 4_294_967_296;
/** The upper half of 2^53. */
const UPPER_LIMIT = 0x20_0000;

/** Read a u64 that begins at a word. */
export function u64At(words: Uint32Array, at: number): TradeId {
  const upper = words[at + 1];
  return upper < UPPER_LIMIT ? upper * TWO_TO_32 + words[at] : u64Exactly(words, at);
}

export function u64Exactly(words: Uint32Array, at: number): bigint {
  return (BigInt(words[at + 1]) << 32n) | BigInt(words[at]);
}

export function u64Rounded(words: Uint32Array, at: number): number {
  return words[at + 1] * TWO_TO_32 + words[at];
}

/** Return the id so many after another. */
export function idPlus(id: TradeId, step: number): TradeId {
  if (typeof id === "number" && Number.isSafeInteger(id + step)) {
    return id + step;
  }
  const sum = BigInt(id) + BigInt(step);
  return sum <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(sum) : sum;
}
