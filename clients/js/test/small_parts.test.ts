/** The parts that fit a screen: names, addresses, messages, figures, wishes. */

import { describe, expect, test } from "vitest";
import { encodeV1, encodeV2 } from "../bench/encode.js";
import { httpUrl, streamUrl } from "../src/addresses.js";
import { CandleVersion } from "../src/candle_version.js";
import { Figures, Rate } from "../src/figures.js";
import { decodeV1, decodeV2 } from "../src/frames.js";
import { INTERVAL_NAMES, intervalOfMinutes, intervalOfResolution, resolutionOf } from "../src/intervals.js";
import { jsonEquivalent } from "../src/json_equivalent.js";
import { formatMessage, parseServerMessage } from "../src/messages.js";
import { Wishes } from "../src/wishes.js";

describe("addresses", () => {
  test.each([
    ["127.0.0.1:8080", "ws://127.0.0.1:8080/api/v1/ws", "http://127.0.0.1:8080"],
    ["localhost:8080", "ws://localhost:8080/api/v1/ws", "http://localhost:8080"],
    ["https://gw.example/", "wss://gw.example/api/v1/ws", "https://gw.example"],
    ["wss://gw.example/api/v1/ws", "wss://gw.example/api/v1/ws", "https://gw.example"],
    ["https://gw.example/below/", "wss://gw.example/below/", "https://gw.example/below"],
    ["[::1]:8080", "ws://[::1]:8080/api/v1/ws", "http://[::1]:8080"],
  ])("%s", (address, stream, http) => {
    expect(streamUrl(address)).toBe(stream);
    expect(httpUrl(address)).toBe(http);
  });

  test.each(["", "ftp://gw.example", "file:///etc"])("%s is none", (address) => {
    expect(() => streamUrl(address)).toThrow(TypeError);
  });
});

test("every interval has its number and what TradingView calls it", () => {
  for (const name of INTERVAL_NAMES) {
    expect(intervalOfResolution(resolutionOf(name))).toBe(name);
  }
  expect(["D", "W", "M", "1"].map(intervalOfResolution)).toEqual(["1d", "1w", "1M", "1m"]);
  expect([1, 60, 43_200].map(intervalOfMinutes)).toEqual(["1m", "1h", "1M"]);
  for (const wrong of [
    () => intervalOfMinutes(7),
    () => intervalOfResolution("1m"),
    () => resolutionOf("7m"),
  ]) {
    expect(wrong).toThrow("unknown interval");
  }
});

describe("messages", () => {
  test("ids beyond 2^53 are written with all their digits", () => {
    const since = { A: 9_223_372_036_854_775_807n, B: 5 };
    const text = formatMessage({ type: "subscribe", symbols: ["A", "B"], kinds: ["trade"], since });
    expect(text).toBe(
      '{"type":"subscribe","symbols":["A","B"],"kinds":["trade"],"since":{"A":9223372036854775807,"B":5}}',
    );
  });

  test("fields that are left out have their defaults, and unknown ones are ignored", () => {
    const entry = { id: 7, symbol: "X", venue: "v", price_precision: 2, colour: "red" };
    expect(parseServerMessage(JSON.stringify({ type: "symbols", symbols: [entry] }))).toEqual({
      type: "symbols",
      symbols: [
        {
          id: 7,
          symbol: "X",
          venue: "v",
          price_precision: 2,
          quantity_precision: 8,
          name: "X",
          simulated: false,
        },
      ],
    });
    expect(parseServerMessage('{"type":"error","code":"x","message":"y"}')).toMatchObject({
      symbols: [],
      intervals: [],
    });
  });

  test.each([
    "",
    "{",
    "null",
    "[]",
    '"ping"',
    '{"type":"subscribe"}',
    '{"type":"symbols"}',
    '{"type":"symbols","symbols":[{"id":0,"symbol":"X","venue":"v","price_precision":2}]}',
    '{"type":"error","code":1,"message":""}',
    '{"type":"auto_subscribe","data":null}',
  ])("%s is none", (text) => {
    expect(() => parseServerMessage(text)).toThrow(expect.objectContaining({ name: "BadMessage" }));
  });
});

test("wishes fit the messages of the protocol, however many symbols they name", () => {
  const wishes = new Wishes();
  const names = Array.from({ length: 2_500 }, (_, at) => `SYMBOL${at}USDT`);
  const messages = wishes.add(names, ["price"], [], new Map(), undefined);
  expect(messages.length).toBe(3);
  const ids = new Map(names.map((name) => [`BINANCE:${name}`, 9_223_372_036_854_775_807n]));
  wishes.add(names, ["trade"], [], ids, undefined);
  const again = wishes.onOpen(ids, undefined);
  expect(Math.max(...again.map((one) => formatMessage(one).length))).toBeLessThan(65_536);
  expect(again.flatMap((one) => ("symbols" in one ? one.symbols : [])).length).toBe(2_500);
});

test("a version counts for a question only once its ping was answered", () => {
  const version = new CandleVersion();
  expect(version.resumeUs).toBeUndefined();
  version.onFrame(900);
  const onAnswered = version.onAsked(500);
  version.onFrame(1_000);
  expect(version.resumeUs).toBe(500);
  onAnswered();
  version.onFrame(0); // not known: nothing changes
  expect(version.resumeUs).toBe(500);
  version.onFrame(1_100);
  expect(version.resumeUs).toBe(1_100);
});

describe("figures", () => {
  test("a rate is the mean over the last whole seconds", () => {
    const rate = new Rate();
    expect(rate.perSecond(10_000)).toBe(0);
    for (let nowMs = 10_000; nowMs < 20_000; nowMs += 100) {
      rate.add(3, nowMs);
    }
    expect(rate.perSecond(19_999)).toBe(30);
    expect(rate.perSecond(21_500)).toBe(22.5);
    expect(rate.perSecond(60_000)).toBe(0);
  });

  test("ages are counted by columns, and asked for by share", () => {
    const { ages } = new Figures();
    expect(ages.quantileMs(0.5)).toBeNull();
    for (const ms of [0.2, 4, 4, 9_999]) {
      ages.add(ms * 1000);
    }
    expect(ages.counts.at(0)).toBe(1);
    expect(ages.counts.at(ages.boundsMs.indexOf(5))).toBe(2);
    expect(ages.counts.at(-1)).toBe(1);
    expect([ages.quantileMs(0.5), ages.quantileMs(1)]).toEqual([4, 9_999]);
  });

  test("the JSON of a frame says all that the frame says", () => {
    const v1 = decodeV1(encodeV1([{ symbolId: 1, price: 1.5, volume: 2 }]));
    expect(jsonEquivalent(v1, () => "BTCUSDT")).toBe(
      '{"type":"price","data":[{"symbol":"BTCUSDT","price":1.5,"volume":2}]}',
    );
    const rows = [{ symbolId: 1, flags: 0x201, delayUs: 7, price: 1.5, volume: 2 }];
    const v2 = decodeV2(encodeV2("PRICE", rows, 1_000));
    expect(JSON.parse(jsonEquivalent(v2, () => "BTCUSDT"))).toEqual({
      type: "price",
      timeUs: 1_000,
      data: [{ symbol: "BTCUSDT", delayUs: 7, price: 1.5, volume: 2, changes: 2, fromReceipt: true }],
    });
  });
});
