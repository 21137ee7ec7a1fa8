import { afterAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type ChartBar, Datafeed, type SymbolInfo } from "../../src/datafeed.js";
import { type Bar, BarSeries, History, LiveBars } from "../../src/index.js";
import { GATEWAY_URL, IS_MISSING, streamOf, until, Wire } from "./running.js";

const TWO_MINUTES = 130_000;
const MINUTE_S = 60;

describe.skipIf(IS_MISSING)("history and live bars of a real gateway", () => {
  const datafeed = new Datafeed(GATEWAY_URL, { WebSocket });
  afterAll(() => datafeed.destroy());

  test("the datafeed finds and resolves symbols, and knows the time", async () => {
    const configuration = await until<object>((resolve) => datafeed.onReady(resolve));
    expect(configuration).toMatchObject({ supports_search: true, supports_marks: true });
    const found = await until<{ ticker?: string }[]>((resolve) =>
      datafeed.searchSymbols("btc", "", "", resolve),
    );
    expect(found[0].ticker).toBe("BINANCE:BTCUSDT");
    expect(await resolved("BTCUSDT")).toMatchObject({ ticker: "BINANCE:BTCUSDT", has_intraday: true });
    await expect(resolved("NOSUCHUSDT")).rejects.toBe("unknown_symbol");
    const seconds = await until<number>((resolve) => datafeed.getServerTime(resolve));
    expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(60);
    const quotes = await until<object[]>((resolve) =>
      datafeed.getQuotes(["BTCUSDT"], resolve, () => resolve([])),
    );
    expect(quotes).toMatchObject([{ s: "ok", n: "BTCUSDT", v: { lp: expect.any(Number) } }]);
    const info = await resolved("BTCUSDT");
    const marks = await until<object[]>((resolve) => datafeed.getMarks(info, 0, 2e9, resolve, "1D"));
    const gaps = await until<object[]>((resolve) => datafeed.getTimescaleMarks(info, 0, 2e9, resolve, "1D"));
    expect([Array.isArray(marks), Array.isArray(gaps)]).toEqual([true, true]);
  });

  test("the datafeed walks back to the first bar, and every day is there once", async () => {
    const info = await resolved("BTCUSDT");
    let all: ChartBar[] = [];
    let to = Math.floor(Date.now() / 1000) + 86_400;
    for (let isFirst = true; ; isFirst = false) {
      const page = await barsBefore(info, "1D", to, isFirst);
      if (page.length === 0) {
        break;
      }
      all = [...page, ...all];
      to = page[0].time / 1000;
    }
    expect(all.length).toBeGreaterThan(300);
    expect(all.map(({ time }) => time)).toEqual(all.map((_, at) => all[0].time + at * 86_400_000));
  });

  test("a chart and a series see each minute once, over a cut and into the next minute", {
    timeout: TWO_MINUTES,
  }, async () => {
    const wire = await Wire.lay();
    const stream = streamOf({}, wire.url).start();
    const history = new History(GATEWAY_URL);
    const series = new BarSeries(history, new LiveBars(stream), "BTCUSDT", "1m");
    const chart = new Datafeed(wire.url, { stream });
    const info = await resolved("BTCUSDT");
    await series.load(30);
    const shown = new Map(
      (await barsBefore(info, "1", inAMinute(), true, chart)).map((bar) => [bar.time, bar]),
    );
    const last = series.bars.at(-1)!.time;

    // The first tick of the chart, a cut, and then on until the minute after the next one has begun.
    const ticks: ChartBar[] = [];
    const done = until<void>((resolve) => {
      const onTick = (bar: ChartBar) => {
        ticks.push(bar);
        shown.set(bar.time, bar);
        if (ticks.length === 1) {
          wire.cut();
        }
        if (bar.time / 1000 > last && series.bars.at(-1)!.time > last) {
          resolve();
        }
      };
      chart.subscribeBars(info, "1", onTick, "chart");
    });
    await done;

    const times = series.bars.map(({ time }) => time);
    expect(times).toEqual(times.map((_, at) => times[0] + at * MINUTE_S));
    const chartTimes = [...shown.keys()];
    expect(chartTimes).toEqual(chartTimes.map((_, at) => chartTimes[0] + at * MINUTE_S * 1000));
    expect(ticks.map(({ time }) => time)).toEqual(
      ticks.map(({ time }) => time).sort((one, other) => one - other),
    );

    // What is final is as the history has it now: nothing was missed at the seam, nor while it was cut.
    const now = await history.bars("BTCUSDT", "1m", { countback: 35 });
    const final = (bars: readonly Bar[]) =>
      bars.filter(({ time }) => time >= times[1] && time <= last).map(plain);
    expect(final(series.bars)).toEqual(final(now.bars));
    const charted = [...shown.values()].map((bar) => ({ ...bar, time: bar.time / 1000 }));
    expect(final(charted)).toEqual(final(now.bars));
    expect(stream.figures.reconnects).toBe(1);
    stream.stop();
    wire.remove();
  });

  function resolved(name: string): Promise<SymbolInfo> {
    return new Promise((resolve, reject) => datafeed.resolveSymbol(name, resolve, reject));
  }

  function barsBefore(info: SymbolInfo, resolution: string, to: number, isFirst: boolean, from = datafeed) {
    return new Promise<ChartBar[]>((resolve, reject) => {
      const period = { from: to, to, countBack: 300, firstDataRequest: isFirst };
      from.getBars(info, resolution, period, resolve, (reason) => reject(new Error(reason)));
    });
  }
});

function inAMinute(): number {
  return Math.floor(Date.now() / 1000) + MINUTE_S;
}

function plain({ time, open, high, low, close, volume }: Bar): Bar {
  return { time, open, high, low, close, volume };
}
