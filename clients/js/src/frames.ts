/**
 * Binary frames: bytes in, views of them out. Nothing here knows about sockets.
 *
 *     v1   0  u32 crc32   4  u16 count   6   records of 18 bytes: u16 symbol id, f64 price, f64 volume
 *     v2   0  u32 crc32   4  u16 count   6   u8 version = 2   7  u8 kind   8  u64 time_us   16  records
 *
 * All of it little-endian, as every machine is that runs JavaScript. protocol/SPEC.md says the rest.
 *
 * The rules of this file:
 * - Nothing is copied. A decoded frame reads its fields where they arrived, one by one (`frame.price(3)`), as a
 *   column (`frame.column("price")`), or as objects (`frame.rows()`). Prices are also read into columns that are
 *   used again (`frame.columns(into)`), compact ones only so (`bases.columns(frame, into)`).
 * - A frame is checked whole before anybody sees a part of it: length, CRC, and that amounts are amounts.
 * - What is wrong is a ProtocolError, never anything else.
 */

import { type Amounts, checkAmounts } from "./amounts.js";
import { crc32 } from "./checksum.js";
import { BadChecksum, BadLength, BadValue, BadVersion, UnknownKind } from "./errors.js";
import { CandleFrame } from "./frames_candles.js";
import { BaseFrame, CompactFrame } from "./frames_compact.js";
import { EnigmaFrame, PriceFrame, QuoteFrame } from "./frames_newest.js";
import { GapFrame, TradeFrame } from "./frames_trades.js";
import { FrameV1, V1_AMOUNTS, V1_HEADER_BYTES, V1_RECORD_BYTES } from "./frames_v1.js";
import { HEADER_BYTES, Kind } from "./frames_v2.js";

export * from "./errors.js";
export * from "./frames_candles.js";
export * from "./frames_compact.js";
export * from "./frames_newest.js";
export * from "./frames_trades.js";
export { FrameV1, type RowV1 } from "./frames_v1.js";
export { Kind } from "./frames_v2.js";
export { PriceColumns } from "./price_columns.js";
export type { TradeId } from "./u64.js";

/** What a WebSocket hands over: the whole of an ArrayBuffer, or a part of one. */
export type FrameData = ArrayBuffer | ArrayBufferView<ArrayBuffer>;
export type Frame =
  | PriceFrame
  | QuoteFrame
  | TradeFrame
  | CandleFrame
  | EnigmaFrame
  | GapFrame
  | BaseFrame
  | CompactFrame;

const VERSION = 2;

interface FrameClass {
  new (bytes: Uint8Array<ArrayBuffer>): Frame;
  readonly recordBytes: number;
  readonly amounts: Amounts;
}

const FRAME_OF_KIND: { [kind: number]: FrameClass } = {
  [Kind.PRICE]: PriceFrame,
  [Kind.QUOTE]: QuoteFrame,
  [Kind.TRADE]: TradeFrame,
  [Kind.CANDLE]: CandleFrame,
  [Kind.ENIGMA]: EnigmaFrame,
  [Kind.GAP]: GapFrame,
  [Kind.BASE]: BaseFrame,
  [Kind.COMPACT]: CompactFrame,
};

/** View a v1 frame. Throws a ProtocolError, never anything else. */
export function decodeV1(data: FrameData): FrameV1 {
  const bytes = bytesOf(data);
  if (bytes.length < V1_HEADER_BYTES) {
    throw new BadLength(V1_HEADER_BYTES, bytes.length);
  }
  const frame = new FrameV1(bytes);
  const expected = V1_HEADER_BYTES + V1_RECORD_BYTES * frame.count;
  if (bytes.length !== expected) {
    throw new BadLength(expected, bytes.length);
  }
  checkCrc(bytes);
  checkAmounts(bytes, V1_HEADER_BYTES, V1_RECORD_BYTES, V1_AMOUNTS);
  return frame;
}

/** View a v2 frame. Throws a ProtocolError, never anything else. */
export function decodeV2(data: FrameData): Frame {
  const bytes = aligned(bytesOf(data));
  if (bytes.length < HEADER_BYTES) {
    throw new BadLength(HEADER_BYTES, bytes.length);
  }
  if (bytes[6] !== VERSION) {
    throw new BadVersion(bytes[6]);
  }
  const FrameOfKind = FRAME_OF_KIND[bytes[7]];
  if (FrameOfKind === undefined) {
    throw new UnknownKind(bytes[7]);
  }
  if (bytes[15] & 0x80) {
    throw new BadValue("time_us", "2^63 or more");
  }
  const expected = HEADER_BYTES + FrameOfKind.recordBytes * (bytes[4] | (bytes[5] << 8));
  if (bytes.length !== expected) {
    throw new BadLength(expected, bytes.length);
  }
  checkCrc(bytes);
  checkAmounts(bytes, HEADER_BYTES, FrameOfKind.recordBytes, FrameOfKind.amounts);
  const frame = new FrameOfKind(bytes);
  if (frame.kind === Kind.BASE) {
    frame.check();
  }
  return frame;
}

function checkCrc(bytes: Uint8Array): void {
  const expected = (bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24)) >>> 0;
  const actual = crc32(bytes, 4);
  if (actual !== expected) {
    throw new BadChecksum(expected, actual);
  }
}

function bytesOf(data: FrameData): Uint8Array<ArrayBuffer> {
  return data instanceof ArrayBuffer
    ? new Uint8Array(data)
    : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Return bytes that begin at a multiple of 8, as the typed views want it: only a part of a buffer may not. */
function aligned(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
}
