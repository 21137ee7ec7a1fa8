/**
 * How long it takes from the bytes of a message to every field of every record: of a frame, and of JSON with the
 * same fields. Runs in Node and in browsers.
 *
 * The rules of this file:
 * - "read" checks the frame (length, CRC, amounts) and reads each field of each record once. "rows" makes an
 *   object of each record first, as JSON.parse does.
 * - The JSON is parsed, and then each of its fields is read once too.
 * - Both look up the symbol: by id in the dictionary; JSON has it by name.
 * - The best of many short rounds, taken in turn: what a round was slower is other programs' doing.
 */

import { crc32, nativeChecksum, wasmChecksum } from "../src/checksum.js";
import { crc32ByTables } from "../src/checksum_tables.js";
import { decodeV1, decodeV2, Kind, type RowV1 } from "../src/frames.js";
import type { CandleRow } from "../src/frames_candles.js";
import type { PriceRow, QuoteRow } from "../src/frames_newest.js";
import type { TradeRow } from "../src/frames_trades.js";
import { timesUs } from "./rounds.js";
import { NAMES, RECORDS, type Sample, type SampleName, samples } from "./sample.js";

const ROUNDS = 150;

/** One row of the table. Times are of one message of 50 records. */
export interface Result {
  name: SampleName;
  records: number;
  frameBytes: number;
  jsonBytes: number;
  /** The fields of each record, as the JSON names them. */
  fields: string[];
  readUs: number;
  rowsUs: number;
  jsonUs: number;
}

export interface ChecksumResult {
  name: string;
  bytes: number;
  us: number;
}

export interface Measurement {
  decoding: Result[];
  checksums: ChecksumResult[];
}

export function measure(roundMs: number): Measurement {
  return {
    decoding: samples().map((sample) => measureDecoding(sample, roundMs)),
    checksums: measureChecksums(roundMs),
  };
}

function measureDecoding(sample: Sample, roundMs: number): Result {
  const { frames, texts, name } = sample;
  const read = READERS[name];
  const readJson = JSON_READERS[name];
  const rows = name === "v1 price" ? rowsOfV1 : rowsOfV2;
  const [[readUs], [rowsUs], [jsonUs]] = timesUs(
    [(turn) => read(frames[turn]), (turn) => rows(frames[turn]), (turn) => readJson(texts[turn])],
    frames.length,
    ROUNDS,
    roundMs,
  );
  return {
    name,
    records: RECORDS,
    frameBytes: mean(frames.map((frame) => frame.byteLength)),
    jsonBytes: mean(texts.map((text) => new TextEncoder().encode(text).length)),
    fields: Object.keys(JSON.parse(texts[0]).data[0]),
    readUs,
    rowsUs,
    jsonUs,
  };
}

/** The ways to the checksum, on what one v1 frame and one v2 frame cover. */
function measureChecksums(roundMs: number): ChecksumResult[] {
  const ways = { "in use": crc32, wasm: wasmChecksum(), zlib: nativeChecksum(), tables: crc32ByTables };
  return [902, 1_212].flatMap((size) => {
    const bytes = Uint8Array.from({ length: size + 4 }, (_, at) => (at * 7_919) >> 3);
    const there = Object.entries(ways).flatMap(([name, way]) => (way ? [{ name, way }] : []));
    const times = timesUs(
      there.map(
        ({ way }) =>
          () =>
            way(bytes, 4),
      ),
      1,
      ROUNDS,
      roundMs,
    );
    return there.map(({ name }, index) => ({ name, bytes: size, us: times[index][0] }));
  });
}

/** Reads the fields of all records of a message. */
type Reader = (data: ArrayBuffer) => number;

const READERS: { [name in SampleName]: Reader } = {
  "v1 price": (data) => {
    const frame = decodeV1(data);
    let sum = 0;
    for (let i = 0; i < frame.count; i++) {
      sum += NAMES[frame.symbolId(i)].length + frame.price(i) + frame.volume(i);
    }
    return sum;
  },
  "v2 price": (data) => {
    const frame = decodeV2(data);
    let sum = frame.timeUs;
    for (let i = 0; frame.kind === Kind.PRICE && i < frame.count; i++) {
      sum += NAMES[frame.symbolId(i)].length + frame.price(i) + frame.volume(i) + frame.delayUs(i);
      sum += frame.isFromReceipt(i) ? 0 : frame.changes(i);
    }
    return sum;
  },
  "v2 quote": (data) => {
    const frame = decodeV2(data);
    let sum = frame.timeUs;
    for (let i = 0; frame.kind === Kind.QUOTE && i < frame.count; i++) {
      sum += NAMES[frame.symbolId(i)].length + frame.bidSize(i) + frame.askSize(i);
      sum += frame.bid(i) + frame.ask(i) + frame.delayUs(i);
      sum += frame.isFromReceipt(i) ? 0 : frame.changes(i);
    }
    return sum;
  },
  "v2 trade": (data) => {
    const frame = decodeV2(data);
    let sum = frame.timeUs;
    for (let i = 0; frame.kind === Kind.TRADE && i < frame.count; i++) {
      sum += NAMES[frame.symbolId(i)].length + Number(frame.id(i)) + frame.price(i) + frame.quantity(i);
      sum += (frame.takerSold(i) ? 1 : 0) + (frame.isRecovered(i) ? 1 : 0);
      sum += frame.tradesJoined(i) + frame.exchangeUs(i);
    }
    return sum;
  },
  "v2 candle": (data) => {
    const frame = decodeV2(data);
    let sum = frame.timeUs;
    for (let i = 0; frame.kind === Kind.CANDLE && i < frame.count; i++) {
      sum += frame.open(i) + frame.high(i) + frame.low(i) + frame.close(i);
      sum += frame.volume(i) + frame.takerBuy(i) + frame.trades(i);
      sum += NAMES[frame.symbolId(i)].length + frame.source(i).length;
      sum += frame.interval(i) + frame.openMs(i) + frame.revision(i) + (frame.isFinal(i) ? 1 : 0);
    }
    return sum;
  },
};

function rowsOfV1(data: ArrayBuffer): number {
  return decodeV1(data).rows()[RECORDS - 1].price;
}

function rowsOfV2(data: ArrayBuffer): number {
  return decodeV2(data).rows()[RECORDS - 1].symbolId;
}

interface Message<Fields> {
  timeUs: number;
  data: ({ symbol: string } & Fields)[];
}
type Newest<Fields> = Message<Fields & { delayUs: number; changes: number; fromReceipt: boolean }>;
type NamedTrade = TradeRow & { takerSold: boolean; recovered: boolean };
type NamedCandle = Omit<CandleRow, "interval"> & { interval: string; final: boolean; source: string };

const JSON_READERS: { [name in SampleName]: (text: string) => number } = {
  "v1 price": (text) => {
    const message = JSON.parse(text) as Message<RowV1>;
    let sum = 0;
    for (const one of message.data) {
      sum += one.symbol.length + one.price + one.volume;
    }
    return sum;
  },
  "v2 price": (text) => {
    const message = JSON.parse(text) as Newest<PriceRow>;
    let sum = message.timeUs;
    for (const one of message.data) {
      sum += one.symbol.length + one.price + one.volume + one.delayUs;
      sum += one.fromReceipt ? 0 : one.changes;
    }
    return sum;
  },
  "v2 quote": (text) => {
    const message = JSON.parse(text) as Newest<QuoteRow>;
    let sum = message.timeUs;
    for (const one of message.data) {
      sum += one.symbol.length + one.bidSize + one.askSize + one.bid + one.ask + one.delayUs;
      sum += one.fromReceipt ? 0 : one.changes;
    }
    return sum;
  },
  "v2 trade": (text) => {
    const message = JSON.parse(text) as Message<NamedTrade>;
    let sum = message.timeUs;
    for (const one of message.data) {
      sum += one.symbol.length + Number(one.id) + one.price + one.quantity;
      sum += (one.takerSold ? 1 : 0) + (one.recovered ? 1 : 0) + one.tradesJoined + one.exchangeUs;
    }
    return sum;
  },
  "v2 candle": (text) => {
    const message = JSON.parse(text) as Message<NamedCandle>;
    let sum = message.timeUs;
    for (const one of message.data) {
      sum += one.open + one.high + one.low + one.close + one.volume + one.takerBuy + one.trades;
      sum += one.symbol.length + one.source.length + one.interval.length + one.openMs + one.revision;
      sum += one.final ? 1 : 0;
    }
    return sum;
  },
};

function mean(values: number[]): number {
  return Math.round(values.reduce((sum, one) => sum + one, 0) / values.length);
}
