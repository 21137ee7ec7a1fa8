/**
 * What the decoders are measured on: frames of 50 records, and JSON that says the very same, as
 * `src/json_equivalent.ts` writes it.
 */

import { decodeV1, decodeV2 } from "../src/frames.js";
import { jsonEquivalent } from "../src/json_equivalent.js";
import { encodeV1, encodeV2, type KindName, type Values } from "./encode.js";

export const RECORDS = 50;
/** So many different messages in turn, so that no cache of a parser answers. */
export const MESSAGES = 32;
const TIME_US = 1_790_000_000_123_456;
const ASSETS = ["BTC", "ETH", "BNB", "SOL", "XRP", "DOGE", "ADA", "TRX", "AVAX", "LINK", "DOT", "LTC", "BCH"];

export type SampleName = "v1 price" | "v2 price" | "v2 quote" | "v2 trade" | "v2 candle";

export interface Sample {
  name: SampleName;
  frames: ArrayBuffer[];
  texts: string[];
}

/** By symbol id. */
export const NAMES: readonly string[] = Array.from(
  { length: RECORDS + 1 },
  (_, id) =>
    `${ASSETS[id % ASSETS.length]}${id < ASSETS.length ? "USDT" : id < 26 ? "BTC" : id < 39 ? "ETH" : "EUR"}`,
);

/** Draw the messages. The same seed gives the same. */
export function samples(seed = 7): Sample[] {
  const random = randomNumbers(seed);
  return [
    draw("v1 price", (symbolId) => price(random, symbolId)),
    draw("v2 price", (symbolId) => ({ ...newest(random), ...price(random, symbolId) })),
    draw("v2 quote", (symbolId) => ({ ...newest(random), ...quote(random, symbolId) })),
    draw("v2 trade", (symbolId) => trade(random, symbolId)),
    draw("v2 candle", (symbolId) => candle(random, symbolId)),
  ];
}

function draw(name: SampleName, drawRecord: (symbolId: number) => Values): Sample {
  const [version, kind] = name.split(" ");
  const frames = Array.from({ length: MESSAGES }, () => {
    const rows = Array.from({ length: RECORDS }, (_, index) => drawRecord(index + 1));
    return version === "v1" ? encodeV1(rows) : encodeV2(kind.toUpperCase() as KindName, rows, TIME_US);
  });
  const decode = version === "v1" ? decodeV1 : decodeV2;
  return { name, frames, texts: frames.map((frame) => jsonEquivalent(decode(frame), (id) => NAMES[id])) };
}

type Random = () => number;

function price(random: Random, symbolId: number): Values {
  return { symbolId, price: digits(random() * 70_000, 2), volume: digits(random() * 50_000, 5) };
}

function quote(random: Random, symbolId: number): Values {
  const bid = digits(random() * 70_000, 2);
  const [bidSize, askSize] = [digits(random() * 20, 5), digits(random() * 20, 5)];
  return { symbolId, bid, bidSize, ask: digits(bid + 0.01, 2), askSize };
}

function newest(random: Random): Values {
  return { flags: (1 + Math.floor(random() * 3)) << 8, delayUs: Math.floor(random() * 30_000) };
}

function trade(random: Random, symbolId: number): Values {
  return {
    symbolId,
    flags: random() < 0.5 ? 1 : 0,
    tradesJoined: 1 + Math.floor(random() * 4),
    id: 3_456_789_012 + Math.floor(random() * 1_000_000),
    exchangeUs: TIME_US - Math.floor(random() * 30_000),
    price: digits(random() * 70_000, 2),
    quantity: digits(random() * 2, 5),
  };
}

function candle(random: Random, symbolId: number): Values {
  const open = random() * 70_000;
  const [high, low, close] = [1.001, 0.999, 1.0005].map((factor) => digits(open * factor, 2));
  const volume = digits(random() * 200, 5);
  return {
    symbolId,
    interval: 1,
    flags: 0,
    revision: 0,
    openMs: 1_789_999_980_000,
    open: digits(open, 2),
    high,
    low,
    close,
    volume,
    trades: Math.floor(random() * 2_000),
    takerBuy: digits(volume / 3, 5),
  };
}

function digits(value: number, precision: number): number {
  return Number(value.toFixed(precision));
}

/** A small generator of numbers in [0, 1), because Math.random takes no seed. */
function randomNumbers(seed: number): Random {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
