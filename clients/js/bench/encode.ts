/** The other direction of `src/frames.ts`, which no client needs: for benchmarks and tests. */

import { crc32 } from "../src/checksum.js";

export type Values = { [field: string]: number };
export type KindName = keyof typeof LAYOUTS;
type Type = "u8" | "u16" | "i16" | "i24" | "u32" | "i32" | "u64" | "f64";

const BYTES: { [type in Type]: number } = { u8: 1, u16: 2, i16: 2, i24: 3, u32: 4, i32: 4, u64: 8, f64: 8 };
const NEWEST = "symbolId:u16 flags:u16 delayUs:i32";
const V1 = layout("symbolId:u16 price:f64 volume:f64");

/** As in protocol/SPEC.md, in the order of the kinds and of the fields. */
export const LAYOUTS = {
  PRICE: layout(`${NEWEST} price:f64 volume:f64`),
  QUOTE: layout(`${NEWEST} bid:f64 bidSize:f64 ask:f64 askSize:f64`),
  TRADE: layout("symbolId:u16 flags:u16 tradesJoined:u32 id:u64 exchangeUs:u64 price:f64 quantity:f64"),
  CANDLE: layout(
    "symbolId:u16 interval:u16 flags:u16 revision:u16 openMs:u64 open:f64 high:f64 low:f64 close:f64" +
      " volume:f64 trades:u32 pad:u32 takerBuy:f64",
  ),
  ENIGMA: layout(`${NEWEST} level:f64 low:f64 high:f64`),
  GAP: layout("symbolId:u16 state:u16 cause:u32 firstId:u64 lastId:u64 firstUs:u64 lastUs:u64"),
  BASE: layout("symbolId:u16 priceDigits:u8 volumeDigits:u8 pad:u32 price:u64 volume:u64"),
  COMPACT: layout("symbolId:u16 price:i16 volume:i24"),
};

/** Encode records as one v1 frame. */
export function encodeV1(rows: Values[]): ArrayBuffer {
  return seal(V1, rows, 6, () => {});
}

/** Encode records as one v2 frame. A field that is not given is 0. */
export function encodeV2(kind: KindName, rows: Values[], timeUs: number): ArrayBuffer {
  return seal(LAYOUTS[kind], rows, 16, (view) => {
    view.setUint8(6, 2);
    view.setUint8(7, Object.keys(LAYOUTS).indexOf(kind) + 1);
    view.setBigUint64(8, BigInt(timeUs), true);
  });
}

/** Write the right CRC into a frame. */
export function sealAgain(frame: ArrayBuffer): ArrayBuffer {
  new DataView(frame).setUint32(0, crc32(new Uint8Array(frame), 4), true);
  return frame;
}

function seal(
  fields: Layout,
  rows: Values[],
  headerBytes: number,
  writeHeader: (view: DataView) => void,
): ArrayBuffer {
  const recordBytes = fields.reduce((sum, [, type]) => sum + BYTES[type], 0);
  const view = new DataView(new ArrayBuffer(headerBytes + recordBytes * rows.length));
  view.setUint16(4, rows.length, true);
  writeHeader(view);
  let at = headerBytes;
  for (const row of rows) {
    for (const [name, type] of fields) {
      write(view, at, type, row[name] ?? 0);
      at += BYTES[type];
    }
  }
  return sealAgain(view.buffer as ArrayBuffer);
}

type Layout = [name: string, type: Type][];

function layout(text: string): Layout {
  return text.split(" ").map((field) => field.split(":") as [string, Type]);
}

function write(view: DataView, at: number, type: Type, value: number): void {
  if (type === "u8") {
    view.setUint8(at, value);
  } else if (type === "u16" || type === "i16") {
    view.setUint16(at, value, true);
  } else if (type === "i24") {
    view.setUint16(at, value, true);
    view.setUint8(at + 2, value >> 16);
  } else if (type === "f64") {
    view.setFloat64(at, value, true);
  } else if (type === "u64") {
    view.setBigUint64(at, BigInt(value), true);
  } else {
    view.setUint32(at, value, true); // of a negative number these write the two's complement
  }
}
