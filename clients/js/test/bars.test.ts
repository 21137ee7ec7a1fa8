/** The seam between history and live bars, with a gateway that says what is needed to hit it. */

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { ChartBar } from "../src/charting_library.js";
import { Datafeed } from "../src/datafeed.js";
import { type Bar, BarSeries, History, LiveBars, Stream } from "../src/index.js";
import { type Client, entry, ScriptedGateway } from "./scripted_gateway.js";

const BTC = entry(7, "BTCUSDT");
const AS_OF_US = 5_000_000;

let gateway: ScriptedGateway;
let stream: Stream;

beforeEach(async () => {
  gateway = await ScriptedGateway.start();
  stream = new Stream(gateway.url, { WebSocket, patience: { firstRetryMs: 0, maxRetryMs: 0 } });
});

afterEach(() => {
  stream.stop();
  gateway.stop();
});

/** Answer every question for history: bars of a minute whose close is the number of the minute. */
function serveHistory(first: number, last: number, asOfUs = AS_OF_US, withHeader = true): void {
  gateway.answer = (url, response) => {
    const { searchParams, pathname } = url;
    const to = Number(searchParams.get("to") ?? 1e9);
    const count = Number(searchParams.get("countback"));
    const all = Array.from({ length: last - first + 1 }, (_, at) => first + at).filter(
      (one) => one * 60 < to,
    );
    const minutes = all.slice(-count);
    const times = minutes.map((one) => one * 60);
    if (pathname.startsWith("/api/v1/")) {
      const bars = minutes.map((one) => barOf(one));
      response.end(JSON.stringify({ bars, as_of_us: asOfUs, last_id: 0 }));
      return;
    }
    if (withHeader) {
      response.setHeader("X-Tickgate-As-Of", String(asOfUs));
    }
    const columns = { s: "ok", t: times, o: minutes, h: minutes, l: minutes, c: minutes, v: minutes };
    response.end(JSON.stringify(minutes.length > 0 ? columns : { s: "no_data" }));
  };
}

function barOf(minute: number, close = minute): Bar {
  return { time: minute * 60, open: minute, high: minute, low: minute, close, volume: minute };
}

function candle(minute: number, close = minute, more = {}) {
  const prices = { open: minute, high: minute, low: minute, close, volume: minute };
  return { symbolId: 7, interval: 1, openMs: minute * 60_000, ...prices, ...more };
}

function pick({ time, open, high, low, close, volume }: Bar): Bar {
  return { time, open, high, low, close, volume };
}

async function subscribedClient(): Promise<Client> {
  stream.start();
  const client = await gateway.client();
  await client.subscribed();
  client.introduce(BTC);
  return client;
}

describe("a series of bars", () => {
  async function loaded(): Promise<{
    series: BarSeries;
    client: Client;
    told: unknown[];
    heard: (n: number) => Promise<void>;
  }> {
    const series = new BarSeries(new History(gateway.url), new LiveBars(stream), "BTCUSDT", "1m");
    const told: unknown[] = [];
    let look = () => {};
    const note = (what: unknown) => {
      told.push(what);
      look();
    };
    series.on("reset", (bars) => note(["reset", bars.length]));
    series.on("update", (bar, isOlder) => note(["update", bar.time / 60, bar.close, isOlder]));
    series.on("error", note);
    const heard = (count: number) =>
      new Promise<void>((resolve) => {
        look = () => told.length >= count && resolve();
        look();
      });
    await series.load(3);
    return { series, client: await subscribedClient(), told, heard };
  }

  test("the stream goes on after the version of the history", async () => {
    serveHistory(1, 10);
    const { series, client } = await loaded();
    expect(await client.subscribed()).toMatchObject({ intervals: ["1m"], since_us: AS_OF_US });
    expect(series.bars).toEqual([barOf(8), barOf(9), barOf(10)]);
  });

  test("where a header gets lost, the version comes from the body of another answer", async () => {
    serveHistory(1, 10, 123, false);
    const { client, series } = await loaded();
    expect(await client.subscribed()).toMatchObject({ since_us: 123 });
    expect(series.bars).toEqual([barOf(8), barOf(9), barOf(10)]);
  });

  test("bars replace their like, follow, are corrected, and appear between others", async () => {
    serveHistory(1, 10);
    const { series, client, told, heard } = await loaded();
    client.send("CANDLE", [candle(11, 1), candle(10, 77, { flags: 1 })], 6_000_000); // not in order
    client.send("CANDLE", [candle(11, 1)], 6_000_001); // the same again
    client.send("CANDLE", [candle(9, 99, { flags: 1, revision: 1 }), candle(13)], 6_000_002);
    client.send("CANDLE", [candle(12)], 6_000_003);
    await heard(6);
    expect(told).toEqual([
      ["reset", 3],
      ["update", 10, 77, false],
      ["update", 11, 1, false],
      ["update", 9, 99, true],
      ["update", 13, 13, false],
      ["reset", 6],
    ]);
    expect(series.bars.map((one) => one.time / 60)).toEqual([8, 9, 10, 11, 12, 13]);
    expect(series.bars.map(({ close }) => close)).toEqual([8, 99, 77, 1, 12, 13]);
  });

  test("older pages go before, to the beginning", async () => {
    serveHistory(1, 10);
    const { series } = await loaded();
    const counts = [await series.loadOlder(4), await series.loadOlder(4), await series.loadOlder(4)];
    expect(counts).toEqual([4, 3, 0]);
    expect(series.bars).toEqual(Array.from({ length: 10 }, (_, at) => barOf(at + 1)));
    expect(series.isWhole).toBe(true);
  });

  test("a correction that overtakes the page it belongs to is not lost", async () => {
    serveHistory(1, 10);
    const { series, client } = await loaded();
    let release = () => {};
    const answer = gateway.answer;
    const asked = new Promise<void>((resolve) => {
      gateway.answer = (url, response) => {
        release = () => answer(url, response);
        resolve();
      };
    });
    const loading = series.loadOlder(4);
    await asked;
    const arrived = new Promise((resolve) => stream.on("candles", resolve));
    client.send("CANDLE", [candle(6, 66, { flags: 1, revision: 1 })], AS_OF_US + 1);
    await arrived;
    release();
    await loading;
    expect(series.bars.find(({ time }) => time === 360)?.close).toBe(66);
  });

  test("when the stream cannot reach back, the history is loaded again", async () => {
    serveHistory(1, 10);
    const { series, client, heard } = await loaded();
    serveHistory(1, 12, 7_000_000);
    client.say({
      type: "error",
      code: "candles_out_of_reach",
      message: "",
      symbols: ["BTCUSDT"],
      intervals: ["1m"],
    });
    await heard(2);
    expect(series.bars.map(pick)).toEqual([barOf(10), barOf(11), barOf(12)]);
    expect(await client.heard(({ since_us }) => since_us === 7_000_000)).toMatchObject({ type: "subscribe" });
  });

  test("a series that is closed is not asked for any longer", async () => {
    serveHistory(1, 10);
    const { series, client } = await loaded();
    series.close();
    expect(await client.heard(({ type }) => type === "unsubscribe")).toMatchObject({
      symbols: ["BINANCE:BTCUSDT"],
    });
  });
});

describe("a datafeed", () => {
  const INFO = { name: "BTCUSDT", ticker: "BINANCE:BTCUSDT" };
  const PERIOD = { from: 420, to: 1_000, countBack: 3, firstDataRequest: true };

  async function watched() {
    const corrections: string[] = [];
    const datafeed = new Datafeed(gateway.url, {
      stream,
      onCorrection: (symbol) => corrections.push(symbol),
      retryBoundsMs: [0],
    });
    const bars = await new Promise<ChartBar[]>((resolve, reject) =>
      datafeed.getBars(INFO, "1", PERIOD, resolve, reject),
    );
    const ticks: ChartBar[] = [];
    let resets = 0;
    datafeed.subscribeBars(
      INFO,
      "1",
      (bar) => ticks.push(bar),
      "guid",
      () => resets++,
    );
    const client = await subscribedClient();
    const version = (versionUs: number) =>
      new Promise<void>((resolve) =>
        stream.on("candles", (event) => event.versionUs === versionUs && resolve()),
      );
    return { datafeed, bars, ticks, client, corrections, version, resets: () => resets };
  }

  test("live bars go on where its history ends, in the order that the library takes", async () => {
    serveHistory(1, 10);
    const { bars, ticks, client, corrections, version, resets } = await watched();
    expect(bars.map(({ time }) => time / 60_000)).toEqual([8, 9, 10]);
    expect(await client.subscribed()).toMatchObject({ since_us: AS_OF_US });
    client.send("CANDLE", [candle(11), candle(10, 10), candle(9)], AS_OF_US + 1);
    client.send("CANDLE", [candle(11, 5)], AS_OF_US + 2);
    await version(AS_OF_US + 2);
    expect(ticks.map(({ time, close }) => [time / 60_000, close])).toEqual([
      [11, 11],
      [11, 5],
    ]);
    expect([resets(), corrections]).toEqual([0, []]); // minute 9 came as the chart has it
  });

  test("a correction of an older bar invalidates what the library has", async () => {
    serveHistory(1, 10);
    const { ticks, client, corrections, version, resets } = await watched();
    client.send("CANDLE", [candle(9, 99, { flags: 1, revision: 1 })], AS_OF_US + 1);
    await version(AS_OF_US + 1);
    expect([resets(), corrections, ticks]).toEqual([1, ["BINANCE:BTCUSDT"], []]);
  });

  test("what is out of reach invalidates it too", async () => {
    serveHistory(1, 10);
    const { client, corrections } = await watched();
    const refused = new Promise((resolve) => stream.on("refused", resolve));
    client.say({
      type: "error",
      code: "candles_out_of_reach",
      message: "",
      symbols: ["BTCUSDT"],
      intervals: ["1m"],
    });
    await refused;
    expect(corrections).toEqual(["BINANCE:BTCUSDT"]);
  });

  test("a refusal has a reason, and what passes is asked again", async () => {
    const { datafeed } = { datafeed: new Datafeed(gateway.url, { stream, retryBoundsMs: [0, 0] }) };
    const failure = (status: number, body: object) =>
      new Promise<string>((resolve, reject) => {
        gateway.answer = (_, response) => response.writeHead(status).end(JSON.stringify(body));
        datafeed.getBars(INFO, "1", PERIOD, reject, resolve);
      });
    expect(await failure(404, { s: "error", errmsg: "unknown_symbol" })).toBe("unknown_symbol");
    expect(gateway.asked.length).toBe(1);
    expect(await failure(503, {})).toBe("HTTP 503");
    expect(gateway.asked.length).toBe(4);
    expect(await failure(200, { s: "error", errmsg: "no" })).toBe("no");
  });
});
