import { afterEach, describe, expect, test } from "vitest";
import type { Stream, TradeUpdate } from "../../src/index.js";
import { IS_MISSING, killGateway, streamOf, until, Wire } from "./running.js";

const SYMBOLS = ["BTCUSDT", "ETHUSDT"];

let streams: Stream[] = [];
const opened = (stream: Stream) => {
  streams.push(stream);
  return stream;
};

afterEach(() => {
  for (const stream of streams) {
    stream.stop();
  }
  streams = [];
});

describe.skipIf(IS_MISSING)("a real gateway", () => {
  test.each([1, 2] as const)("prices move, in v%i, and are said to be simulated", async (version) => {
    const stream = opened(streamOf({ symbols: SYMBOLS, version }));
    const seen = new Map<string, Set<number>>();
    for await (const item of stream) {
      if (item.type === "price") {
        seen.set(item.symbol, (seen.get(item.symbol) ?? new Set()).add(item.price));
      }
      if (SYMBOLS.every((symbol) => (seen.get(symbol)?.size ?? 0) > 2)) {
        break;
      }
    }
    expect(stream.state.name).toBe("live");
    expect(stream.simulated).toBe(true);
    expect(stream.figures).toMatchObject({ badFrames: 0, reconnects: 0 });
    expect(stream.figures.jsonBytes).toBeGreaterThan(2 * stream.figures.bytes);
  });

  test("quotes and Enigma levels come, of v2 with their ages", async () => {
    const stream = opened(streamOf({ symbols: SYMBOLS, kinds: ["quote", "enigma"] }));
    const level = until<number>((resolve) => stream.on("enigma", (one) => resolve(one.level)));
    const spread = until<number>((resolve) => stream.on("quote", ({ ask, bid }) => resolve(ask - bid)));
    const aged = until<void>((resolve) =>
      stream.on("quote", () => stream.figures.ages.seen > 0 && resolve()),
    );
    stream.start();
    expect(await spread).toBeGreaterThan(0);
    expect(await level).toBeGreaterThanOrEqual(0);
    await aged;
    expect(stream.figures.ages.quantileMs(0.5)).toBeLessThan(10_000);
  });

  test("compact prices are those that come as prices, in less than half of the bytes", async () => {
    const compact = opened(streamOf({ symbols: SYMBOLS, kinds: ["compact"] }));
    const whole = opened(streamOf({ symbols: SYMBOLS, kinds: ["price"] }));
    const [some, others] = [pricesOf(compact), pricesOf(whole)];
    await Promise.all([some.more(100), others.more(100)]);
    // Each may have left out what the other was told: a busy gateway coalesces. Not so the most.
    const shared = [...some.seen].filter((price) => others.seen.has(price));
    expect(shared.length).toBeGreaterThan(20);
    const bytesOf = ({ figures }: Stream) => (figures.bytes - 16 * figures.frames) / figures.records;
    expect(bytesOf(compact)).toBeLessThan(0.5 * bytesOf(whole));
    expect(compact.figures).toMatchObject({ badFrames: 0, reconnects: 0 });
  });

  test("a symbol that is not carried is refused, and the others come", async () => {
    const stream = opened(streamOf({ symbols: ["NOSUCHUSDT", "BTCUSDT"] }));
    const refused = until((resolve) => stream.on("refused", resolve));
    const price = until((resolve) => stream.on("price", resolve));
    stream.start();
    expect(await refused).toMatchObject({ code: "unknown_symbol" });
    expect(await price).toMatchObject({ symbol: "BTCUSDT" });
  });

  test("trades are contiguous through a cut of the connection", async () => {
    const wire = await Wire.lay();
    const stream = opened(streamOf({ symbols: SYMBOLS, kinds: ["trade"] }, wire.url));
    const trades = recorded(stream);
    stream.start();
    for (let cuts = 0; cuts < 3; cuts++) {
      await trades.more(20);
      wire.cut();
    }
    await trades.more(20);
    expectContiguous(trades.all);
    expect(stream.figures).toMatchObject({ reconnects: 3, unexplainedGaps: 0, lostTrades: 0 });
    wire.remove();
  });

  test("trades are contiguous through a restart of the gateway, for a reader too", async () => {
    const stream = opened(streamOf({ symbols: SYMBOLS, kinds: ["trade"] }));
    const trades: TradeUpdate[] = [];
    const states: string[] = [];
    for await (const item of stream) {
      if (item.type === "state") {
        states.push(item.state.name);
      } else if (item.type === "trade") {
        trades.push(item);
        if (trades.length === 30) {
          killGateway();
        }
      }
      if (states.includes("reconnecting") && stream.state.name === "live" && trades.length > 100) {
        break;
      }
    }
    expectContiguous(trades);
    expect(stream.figures).toMatchObject({ unexplainedGaps: 0, lostTrades: 0 });
  });
});

/** Prices with their volumes, as texts that can be compared. */
function pricesOf(stream: Stream) {
  const seen = new Set<string>();
  const more = (count: number) =>
    until<void>((resolve) => {
      stream.on("price", ({ symbol, price, volume }) => {
        seen.add(`${symbol} ${price} ${volume}`);
        if (seen.size >= count) {
          resolve();
        }
      });
      stream.start();
    });
  return { seen, more };
}

function recorded(stream: Stream) {
  const all: TradeUpdate[] = [];
  stream.on("trade", (trade) => all.push(trade));
  const more = (count: number) => {
    const wanted = all.length + count;
    return until<void>((resolve) => {
      const off = stream.on("trade", () => {
        if (all.length >= wanted) {
          off();
          resolve();
        }
      });
    });
  };
  return { all, more };
}

function expectContiguous(trades: TradeUpdate[]): void {
  for (const symbol of SYMBOLS) {
    const ids = trades.filter((one) => one.symbol === symbol).map((one) => Number(one.id));
    expect(ids.length).toBeGreaterThan(10);
    expect(ids).toEqual(ids.map((_, at) => ids[0] + at));
  }
}
