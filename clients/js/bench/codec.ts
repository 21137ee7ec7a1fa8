/**
 * Frames of prices against JSON of the same, on a sample that `tickgate bench codec` hands over, so that Python,
 * Node and Chromium read the very same bytes. Runs in Node and in browsers.
 *
 * The rules of this file:
 * - A frame is decoded to columns of symbol id, price and volume that are used again and again (`PriceColumns`);
 *   length, CRC and amounts are checked. JSON is parsed to the objects that its users get: `us_per_batch`.
 * - `columns_us_per_batch` of JSON has it in columns too, the symbols by name.
 * - Many short rounds in which each has its turn; the median of them.
 * - Frames are written from columns, as short as that can be said, into memory of their own; JSON from objects.
 */

import { crc32 } from "../src/checksum.js";
import {
  type BaseFrame,
  Bases,
  type CompactFrame,
  decodeV1,
  decodeV2,
  Kind,
  PriceColumns,
  type PriceFrame,
} from "../src/frames.js";
import { timesUs, type Work } from "./rounds.js";

const ROUND_MS = 0.5;
const MIN_ROUNDS = 5;

/** What Python hands over; frames in base64. */
export interface CodecSample {
  frames: { v1: string[]; price: string[]; base: string; compact: string[] };
  texts: string[];
}

interface NamedPrice {
  symbol: string;
  price: number;
  volume: number;
}

export interface CodecRow {
  name: string;
  us_per_batch: number;
  columns_us_per_batch?: number;
  encode_us_per_batch: number;
}

/** Measure for about so long. */
export function measureCodec(sample: CodecSample, seconds: number): CodecRow[] {
  const { texts } = sample;
  const v1 = sample.frames.v1.map(bytesOf);
  const price = sample.frames.price.map(bytesOf);
  const compact = sample.frames.compact.map(bytesOf);
  const bases = new Bases();
  bases.update(decodeV2(bytesOf(sample.frames.base)) as BaseFrame);
  const objects = texts.map((text) => JSON.parse(text) as NamedPrice[]);
  const columns = v1.map((frame) => decodeV1(frame).columns());
  const steps = compact.map((frame) => decodeV2(frame) as CompactFrame);
  const into = new PriceColumns();
  const named = { symbol: [] as string[], price: into.price, volume: into.volume };
  const works: { [name: string]: Work } = {
    v1: (turn) => lastPrice(decodeV1(v1[turn]).columns(into)),
    price: (turn) => lastPrice((decodeV2(price[turn]) as PriceFrame).columns(into)),
    compact: (turn) => lastPrice(bases.columns(decodeV2(compact[turn]) as CompactFrame, into)),
    json: (turn) => (JSON.parse(texts[turn]) as NamedPrice[]).length,
    jsonColumns: (turn) => toColumns(JSON.parse(texts[turn]) as NamedPrice[], named),
    encodeV1: (turn) => writeV1(columns[turn]).byteLength,
    encodePrice: (turn) => writePrice(columns[turn]).byteLength,
    encodeCompact: (turn) => writeCompact(steps[turn]).byteLength,
    stringify: (turn) => JSON.stringify(objects[turn]).length,
  };
  const names = Object.keys(works);
  const rounds = Math.max(MIN_ROUNDS, Math.round((seconds * 1000) / (names.length * ROUND_MS)));
  const times = timesUs(Object.values(works), texts.length, rounds, ROUND_MS);
  const us = Object.fromEntries(names.map((name, index) => [name, times[index][rounds >>> 1]]));
  return [
    { name: "tickgate", us_per_batch: us.v1, encode_us_per_batch: us.encodeV1 },
    { name: "tickgate_v2_price", us_per_batch: us.price, encode_us_per_batch: us.encodePrice },
    { name: "tickgate_v2_compact", us_per_batch: us.compact, encode_us_per_batch: us.encodeCompact },
    {
      name: "json_parse",
      us_per_batch: us.json,
      columns_us_per_batch: us.jsonColumns,
      encode_us_per_batch: us.stringify,
    },
  ];
}

function bytesOf(base64: string): ArrayBuffer {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)).buffer;
}

function lastPrice({ count, price, volume, symbolId }: PriceColumns): number {
  return price[count - 1] + volume[count - 1] + symbolId[count - 1];
}

function toColumns(
  rows: NamedPrice[],
  into: { symbol: string[]; price: Float64Array; volume: Float64Array },
): number {
  for (let i = 0; i < rows.length; i++) {
    into.symbol[i] = rows[i].symbol;
    into.price[i] = rows[i].price;
    into.volume[i] = rows[i].volume;
  }
  return rows.length;
}

// The other direction

function writeV1({ count, symbolId, price, volume }: PriceColumns): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(6 + 18 * count));
  view.setUint16(4, count, true);
  for (let i = 0, at = 6; i < count; i++, at += 18) {
    view.setUint16(at, symbolId[i], true);
    view.setFloat64(at + 2, price[i], true);
    view.setFloat64(at + 10, volume[i], true);
  }
  return sealed(view);
}

function writePrice({ count, symbolId, price, volume }: PriceColumns): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(16 + 24 * count));
  writeHeader(view, count, Kind.PRICE);
  for (let i = 0, at = 16; i < count; i++, at += 24) {
    view.setUint16(at, symbolId[i], true);
    view.setUint16(at + 2, 0x100, true); // stands for one change
    view.setFloat64(at + 8, price[i], true);
    view.setFloat64(at + 16, volume[i], true);
  }
  return sealed(view);
}

function writeCompact(steps: CompactFrame): ArrayBuffer {
  const { count } = steps;
  const view = new DataView(new ArrayBuffer(16 + 7 * count));
  writeHeader(view, count, Kind.COMPACT);
  for (let i = 0, at = 16; i < count; i++, at += 7) {
    view.setInt32(at + 3, steps.volume(i) << 8, true);
    view.setInt16(at + 2, steps.price(i), true); // its upper byte over the zeros of the volume
    view.setUint16(at, steps.symbolId(i), true);
  }
  return sealed(view);
}

function writeHeader(view: DataView, count: number, kind: number): void {
  view.setUint16(4, count, true);
  view.setUint8(6, 2);
  view.setUint8(7, kind);
  view.setFloat64(8, 0, true); // the time: 0 is 0 in both
}

function sealed(view: DataView<ArrayBuffer>): ArrayBuffer {
  view.setUint32(0, crc32(new Uint8Array(view.buffer), 4), true);
  return view.buffer;
}
