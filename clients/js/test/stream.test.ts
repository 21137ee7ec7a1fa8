import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import {
  GapState,
  type Item,
  type PriceUpdate,
  Stream,
  type StreamOptions,
  StreamRefused,
  type StreamState,
} from "../src/index.js";
import { entry, ScriptedGateway } from "./scripted_gateway.js";

const BTC = entry(7, "BTCUSDT");
const ETH = entry(8, "ETHUSDT", { simulated: true });
const ONE_PRICE = "c2a993810100020140c227dafe5b060007000001dc050000000000000000f83f0000000000000040";
const AT_ONCE = { firstRetryMs: 0, maxRetryMs: 0 };

let gateway: ScriptedGateway;
let streams: Stream[] = [];

beforeEach(async () => {
  gateway = await ScriptedGateway.start();
});

afterEach(() => {
  for (const stream of streams) {
    stream.stop();
  }
  streams = [];
  gateway.stop();
});

function streamOf(options: StreamOptions): Stream {
  const stream = new Stream(gateway.url, {
    WebSocket,
    ...options,
    patience: { ...AT_ONCE, ...options.patience },
  });
  streams.push(stream);
  return stream;
}

function until<T>(look: (resolve: (value: T) => void) => void): Promise<T> {
  return new Promise(look);
}

function untilState(stream: Stream, name: StreamState["name"]): Promise<StreamState> {
  return until((resolve) => {
    const off = stream.on("state", ({ state }) => {
      if (state.name === name) {
        off();
        resolve(state);
      }
    });
  });
}

function trade(id: number, symbolId = 7) {
  return { symbolId, id, price: 1, quantity: 1, tradesJoined: 1, exchangeUs: 1 };
}

describe("the conversation", () => {
  test("it says what it wants, in full names, and answers pings", async () => {
    const stream = streamOf({
      symbols: ["btcusdt", "BINANCE:BTCUSDT"],
      kinds: ["price", "candle"],
      intervals: ["5m"],
    });
    const client = await connected(stream);
    expect(await client.subscribed()).toEqual({
      type: "subscribe",
      symbols: ["BINANCE:BTCUSDT"],
      kinds: ["price", "candle"],
      intervals: ["5m"],
    });
    client.say({ type: "ping" });
    await client.heard(({ type }) => type === "pong");
  });

  test("prices reach listeners and readers, with what the dictionary says", async () => {
    const stream = streamOf({ symbols: ["ETHUSDT"] });
    const prices: number[] = [];
    stream.on("price", ({ price }) => prices.push(price));
    const reading = firstOf(stream, "price");
    const client = await gateway.client();
    client.introduce(ETH);
    client.send(
      "PRICE",
      [{ symbolId: 8, flags: 0x200, delayUs: 1500, price: 3000.5, volume: 9 }],
      10_000_000,
    );
    const update = await reading;
    expect(update).toMatchObject({ symbol: "ETHUSDT", price: 3000.5, changes: 2, exchangeUs: 9_998_500 });
    expect(prices).toEqual([3000.5]);
    expect(stream.simulated).toBe(true);
  });

  test("compact prices are prices without an age, and what comes whole among them is too", async () => {
    const stream = streamOf({ symbols: ["BTCUSDT"], kinds: ["compact"] });
    const prices: PriceUpdate[] = [];
    const done = until<void>((resolve) => stream.on("price", (one) => prices.push(one) === 4 && resolve()));
    const client = await connected(stream);
    expect(await client.subscribed()).toMatchObject({ kinds: ["compact"] });
    client.introduce(BTC, ETH);
    client.send("BASE", [{ symbolId: 7, priceDigits: 2, volumeDigits: 3, price: 6_425_000, volume: 1_500 }]);
    client.send("COMPACT", [{ symbolId: 7, price: -5, volume: 250 }]);
    client.send(
      "PRICE",
      [{ symbolId: 8, flags: 0x100, delayUs: 1500, price: 3000.5, volume: 9 }],
      10_000_000,
    );
    client.send("BASE", [{ symbolId: 8, priceDigits: 1, volumeDigits: 0, price: 30_000, volume: 10 }]);
    client.send("COMPACT", [
      { symbolId: 8, price: 6, volume: -1 },
      { symbolId: 7, price: 1, volume: 0 },
    ]);
    await done;
    const said = prices.map(({ symbol, price, volume, ageUs }) => [symbol, price, volume, ageUs === null]);
    expect(said).toEqual([
      ["BTCUSDT", 64_249.95, 1.75, true],
      ["ETHUSDT", 3000.5, 9, false],
      ["ETHUSDT", 3000.6, 9, true],
      ["BTCUSDT", 64_250.01, 1.5, true],
    ]);
    expect(prices[0]).toMatchObject({ exchangeUs: null, delayUs: null, changes: 1, entry: BTC });
    expect(stream.figures).toMatchObject({ frames: 5, badFrames: 0 });
    expect(stream.figures.ages.seen).toBe(0);
  });

  test("compact prices count from the bases of their own connection", async () => {
    const stream = streamOf({ symbols: ["BTCUSDT"], kinds: ["compact"] });
    const first = await connected(stream);
    const priced = until((resolve) => stream.on("price", resolve));
    first.introduce(BTC);
    first.send("BASE", [{ symbolId: 7, price: 5, volume: 6 }]);
    first.send("COMPACT", [{ symbolId: 7, price: 1, volume: 1 }]);
    expect(await priced).toMatchObject({ price: 6, volume: 7 });
    first.cut();
    const second = await gateway.client();
    const refused = until<StreamState>((resolve) =>
      stream.on(
        "state",
        ({ state }) => state.name === "reconnecting" && state.code === 4400 && resolve(state),
      ),
    );
    second.introduce(BTC);
    second.send("COMPACT", [{ symbolId: 7, price: 1, volume: 1 }]);
    expect(await refused).toMatchObject({ reason: expect.stringContaining("UnknownBase") });
    expect(stream.figures.badFrames).toBe(1);
  });

  test("v1 has no compact prices", () => {
    expect(() => streamOf({ symbols: ["BTCUSDT"], kinds: ["compact"], version: 1 })).toThrow(RangeError);
  });

  test("what the gateway refuses is said, and the rest goes on", async () => {
    const stream = streamOf({ symbols: ["NOPE", "BTCUSDT"] });
    const refused = until((resolve) => stream.on("refused", resolve));
    const client = await connected(stream);
    client.say({ type: "error", code: "unknown_symbol", message: "not carried", symbols: ["NOPE"] });
    expect(await refused).toMatchObject({ type: "refused", code: "unknown_symbol", symbols: ["NOPE"] });
    expect(stream.state.name).toBe("live");
  });

  test("a part of a symbol is taken off, and the rest asked for again from where it was", async () => {
    const stream = streamOf({ symbols: ["BTCUSDT"], kinds: ["trade", "candle"], intervals: ["1m", "5m"] });
    const client = await connected(stream);
    await client.subscribed();
    client.introduce(BTC);
    const traded = until((resolve) => stream.on("trade", resolve));
    client.send("CANDLE", [], 77);
    client.send("TRADE", [trade(100)]);
    await traded;
    stream.unsubscribe(["BTCUSDT"], { intervals: ["5m"] });
    await client.heard(({ type }) => type === "unsubscribe");
    const again = await client.heard(({ since_us }) => since_us === 77);
    expect(again).toMatchObject({
      kinds: ["trade", "candle"],
      intervals: ["1m"],
      since: { "BINANCE:BTCUSDT": 100 },
    });
  });

  test("the market watch is the gateway's, told whole after every change", async () => {
    const stream = streamOf({ sessionToken: "secret" });
    const lists: string[][] = [];
    stream.on("market_watch", ({ symbols }) => lists.push(symbols));
    const client = await connected(stream);
    expect(await client.heard(({ type }) => type === "auth")).toEqual({
      type: "auth",
      session_token: "secret",
    });
    client.say({ type: "auth_confirmed", user: "ann", symbols_allowed: [] });
    const done = until<void>((resolve) => stream.on("market_watch", () => lists.length === 3 && resolve()));
    client.say({ type: "market_watch_subscribe", symbols: ["BTCUSDT"] });
    client.say({ type: "auto_subscribe", data: { symbol: "ETHUSDT" } });
    client.say({ type: "auto_unsubscribe", data: { symbol: "BTCUSDT" } });
    await done;
    expect(lists).toEqual([["BTCUSDT"], ["BTCUSDT", "ETHUSDT"], ["ETHUSDT"]]);
    expect(stream.marketWatch.add("SOLUSDT")).toBe(true);
    expect(await client.heard(({ type }) => type === "market_watch_add")).toMatchObject({
      symbols: ["SOLUSDT"],
    });
  });
});

describe("coming back", () => {
  test("trades go on after the last one, candles after the version", async () => {
    const stream = streamOf({ symbols: ["BTCUSDT"], kinds: ["trade", "candle"] });
    const first = await connected(stream);
    await first.subscribed();
    const seen = until<void>((resolve) => stream.on("candles", () => resolve()));
    first.introduce(BTC);
    first.send("TRADE", [trade(41), trade(42)]);
    first.send("CANDLE", [{ symbolId: 7, interval: 1, openMs: 60_000 }], 1234);
    await seen;
    first.cut();
    const again = await (await gateway.client()).subscribed();
    expect(again).toMatchObject({ since: { "BINANCE:BTCUSDT": 42 }, since_us: 1234 });
    expect(stream.figures.reconnects).toBe(1);
  });

  test("a version that was under way when more was asked for does not count for that", async () => {
    const stream = streamOf({ symbols: ["BTCUSDT"], kinds: ["candle"] });
    const first = await connected(stream);
    const seen = until<void>((resolve) => stream.on("candles", () => resolve()));
    await first.subscribed();
    gateway.answersPings = false; // so that the frame looks like one from before the question
    stream.subscribe(["ETHUSDT"], { kinds: ["candle"], sinceUs: 500 });
    first.send("CANDLE", [], 9000);
    await seen;
    first.cut();
    expect(await (await gateway.client()).subscribed()).toMatchObject({ since_us: 500 });
  });

  test("trades that a replay repeats come once, and a jump is told", async () => {
    const stream = streamOf({ symbols: ["BTCUSDT"], kinds: ["trade"], since: { BTCUSDT: 10 } });
    const items: Item[] = [];
    const done = until<void>((resolve) => {
      stream.on("trade", (one) => {
        items.push(one);
        if (one.id === 16) {
          resolve();
        }
      });
    });
    stream.on("gap", (one) => items.push(one));
    const client = await connected(stream);
    expect(await client.subscribed()).toMatchObject({ since: { "BINANCE:BTCUSDT": 10 } });
    client.introduce(BTC);
    client.send("TRADE", [trade(9), trade(10), trade(11)]);
    client.send("GAP", [{ symbolId: 7, state: GapState.LOST, cause: 8, firstId: 12, lastId: 13 }]);
    client.send("TRADE", [trade(14), trade(16)]);
    await done;
    const told = items.map((one) =>
      one.type === "trade" ? one.id : one.type === "gap" && [one.firstId, one.lastId, one.explained],
    );
    expect(told).toEqual([11, [12, 13, true], 14, [15, 15, false], 16]);
    expect(stream.figures).toMatchObject({ trades: 3, doubledTrades: 2, lostTrades: 2, unexplainedGaps: 1 });
  });

  test.each([1001, 1011, 1012, 4504, 4508, 4999])("after %i it comes back", async (code) => {
    const stream = streamOf({ symbols: ["BTCUSDT"] });
    (await connected(stream)).close(code, "because");
    expect(await untilState(stream, "reconnecting")).toMatchObject({ code, reason: "because" });
    await (await gateway.client()).subscribed();
  });

  test.each([1003, 1009, 4400, 4401, 4403, 4429, 4499])(
    "after %i it does not, and says why",
    async (code) => {
      const stream = streamOf({ symbols: ["BTCUSDT"] });
      const reading = firstOf(stream, "gap");
      (await gateway.client()).close(code, "because");
      await expect(reading).rejects.toThrow(new StreamRefused(code, "because"));
      expect(stream.state).toEqual({ name: "refused", code, reason: "because" });
      stream.start();
      await gateway.client(); // but it does when told to
    },
  );

  test.each([
    ["a frame with a wrong CRC", () => frameOf(ONE_PRICE.replace("c2", "c3")), "BadChecksum"],
    ["an id that was not introduced", () => frameOf(ONE_PRICE), "UnknownSymbolId"],
    ["a text that is no message", () => "[]", "BadMessage"],
    ["a message of no known type", () => '{"type":"weather"}', "BadMessage"],
  ])("%s ends the connection, and the next one begins anew", async (_, data, name) => {
    const stream = streamOf({ symbols: ["BTCUSDT"] });
    const client = await connected(stream);
    const state = untilState(stream, "reconnecting");
    client.sayRaw(data());
    expect(await state).toMatchObject({ code: 4400, reason: expect.stringContaining(name) });
    expect(stream.figures.badFrames).toBe(1);
    await (await gateway.client()).subscribed();
  });
});

describe("readers", () => {
  test("a slow reader gets the newest price, and for how many changes it stands", async () => {
    const stream = streamOf({ symbols: ["BTCUSDT"] });
    const reader = stream[Symbol.asyncIterator]();
    const reading = next(reader, "price");
    const client = await gateway.client();
    client.introduce(BTC);
    for (const price of [1, 2, 3]) {
      client.send("PRICE", [{ symbolId: 7, price, volume: 1 }]);
    }
    await reading;
    const last = until<void>((resolve) => stream.on("price", ({ price }) => price === 9 && resolve()));
    client.send("PRICE", [{ symbolId: 7, flags: 0x200, price: 8, volume: 1 }]);
    client.send("PRICE", [{ symbolId: 7, price: 9, volume: 1 }]);
    await last;
    const update = await next(reader, "price");
    expect(update).toMatchObject({ price: 9 });
    expect(update.type === "price" && update.changes).toBeGreaterThanOrEqual(3);
    await reader.return();
  });

  test("one too slow for its trades is hung up on, and gets every trade all the same", async () => {
    const stream = streamOf({ symbols: ["BTCUSDT"], kinds: ["trade"], since: { BTCUSDT: 0 } });
    const reader = stream[Symbol.asyncIterator]();
    const ids: (number | bigint)[] = [];
    const first = next(reader, "trade");
    const paused = untilState(stream, "paused");
    const client = await gateway.client();
    client.introduce(BTC);
    client.send(
      "TRADE",
      Array.from({ length: 12_000 }, (_, at) => trade(at + 1)),
    );
    await paused;
    for (let item = await first; ids.length < 13_000; item = await next(reader, "trade")) {
      ids.push(item.type === "trade" ? item.id : -1);
      if (ids.length === 12_000) {
        const again = await gateway.client();
        expect(await again.subscribed()).toMatchObject({ since: { "BINANCE:BTCUSDT": 12_000 } });
        again.introduce(BTC);
        again.send(
          "TRADE",
          Array.from({ length: 1_001 }, (_, at) => trade(12_001 + at)),
        );
      }
    }
    expect(ids).toEqual(Array.from({ length: 13_000 }, (_, at) => at + 1));
    await reader.return();
  });

  test("a loop ends when the stream is stopped", async () => {
    const stream = streamOf({ symbols: ["BTCUSDT"] });
    stream.on("state", ({ state }) => state.name === "live" && stream.stop());
    const seen: string[] = [];
    for await (const item of stream) {
      seen.push(item.type === "state" ? item.state.name : item.type);
    }
    expect(seen).toEqual(["connecting", "live", "stopped"]);
  });
});

function frameOf(hex: string): ArrayBuffer {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer;
}

async function connected(stream: Stream) {
  const live = untilState(stream, "live");
  stream.start();
  const client = await gateway.client();
  await live;
  return client;
}

async function firstOf(stream: Stream, type: Item["type"]): Promise<Item> {
  for await (const item of stream) {
    if (item.type === type) {
      return item;
    }
  }
  throw new Error(`no ${type} came`);
}

async function next(reader: AsyncIterator<Item, void>, type: Item["type"]): Promise<Item> {
  for (;;) {
    const { value } = await reader.next();
    if (value === undefined) {
      throw new Error(`no ${type} came`);
    }
    if (value.type === type) {
      return value;
    }
  }
}
