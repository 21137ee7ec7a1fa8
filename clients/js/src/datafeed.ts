/**
 * A datafeed for the TradingView Charting Library: history over HTTP, live bars from the binary stream, no seam.
 *
 *     import { Datafeed } from "tickgate/datafeed";
 *     new TradingView.widget({ datafeed: new Datafeed("https://gateway.example"), symbol: "BINANCE:BTCUSDT", … });
 *
 * Beside it there is plain UDF, which needs nothing of ours but the address, and asks for bars again and again:
 * `new Datafeeds.UDFCompatibleDatafeed("https://gateway.example/udf")`.
 *
 * The rules of this file:
 * - Live bars go on after the version of the history that the chart was given. A bar that changed while nobody
 *   listened comes first, so there is no hole; a bar replaces the one of its time, so there is no double.
 * - The library takes no bar older than its last one. When one was corrected that it may show, its cache is
 *   declared invalid, and `onCorrection` is called: `widget.activeChart().resetData()` draws it anew.
 * - Every failure has a reason that is not empty, or the library would ask forever.
 * - Nothing calls back before the call has returned: the library relies on it.
 */

import { isSame } from "./bars.js";
import type {
  ChartBar,
  ChartMark,
  HistoryMetadata,
  PeriodParams,
  QuoteData,
  Reason,
  SearchResult,
  SymbolInfo,
} from "./charting_library.js";
import { HistoryError } from "./errors.js";
import { type Bar, History, type HistoryOptions, type HistoryWindow, type WindowWish } from "./history.js";
import { INTERVAL_NAMES, intervalOfResolution, resolutionOf } from "./intervals.js";
import { type BarListener, type LiveBar, LiveBars } from "./live_bars.js";
import { Stream, type StreamOptions } from "./stream.js";

export type * from "./charting_library.js";

const FOUND = 30;
const QUOTES_EVERY_MS = 10_000;
/** How many of the newest bars are remembered, to tell a correction from what the chart has. */
const REMEMBERED = 16;

/** What the chart is told where the gateway could not be asked; it asks again with every symbol. */
const CONFIGURATION = { supports_search: true, supported_resolutions: INTERVAL_NAMES.map(resolutionOf) };

export interface DatafeedOptions extends HistoryOptions, Pick<StreamOptions, "WebSocket"> {
  /** A stream that is there already, instead of one of the datafeed's own. */
  stream?: Stream;
  /** A bar that the chart may show was corrected: draw it anew. */
  onCorrection?: (symbol: string, resolution: string) => void;
}

/** What the chart has of a series. */
interface Shown {
  asOfUs: number;
  /** Oldest first. */
  newest: Bar[];
}

export class Datafeed {
  readonly history: History;
  readonly stream: Stream;
  readonly #ownsStream: boolean;
  readonly #live: LiveBars;
  readonly #shown = new Map<string, Shown>();
  readonly #stops = new Map<string, () => void>();
  readonly #onCorrection: (symbol: string, resolution: string) => void;

  constructor(url: string, options: DatafeedOptions = {}) {
    this.history = new History(url, options);
    this.#ownsStream = options.stream === undefined;
    this.stream = options.stream ?? new Stream(url, options);
    this.#live = new LiveBars(this.stream);
    this.#onCorrection = options.onCorrection ?? (() => {});
  }

  /** Let go of everything. A stream that was given goes on. */
  destroy(): void {
    for (const stop of this.#stops.values()) {
      stop();
    }
    this.#stops.clear();
    if (this.#ownsStream) {
      this.stream.stop();
    }
  }

  onReady(onReady: (configuration: object) => void): void {
    this.history.json<object>("/udf/config").then(onReady, () => onReady(CONFIGURATION));
  }

  getServerTime(onTime: (seconds: number) => void): void {
    this.history.json<number>("/udf/time").then(onTime, () => onTime(Math.floor(Date.now() / 1000)));
  }

  searchSymbols(
    query: string,
    exchange: string,
    type: string,
    onResult: (found: SearchResult[]) => void,
  ): void {
    const parameters = { query, exchange, type, limit: FOUND };
    this.history.json<SearchResult[]>("/udf/search", parameters).then(onResult, () => onResult([]));
  }

  resolveSymbol(name: string, onResolve: (info: SymbolInfo) => void, onError: Reason): void {
    this.history.json<SymbolInfo>("/udf/symbols", { symbol: name }).then(onResolve, tellReason(onError));
  }

  getBars(
    info: SymbolInfo,
    resolution: string,
    { from, to, countBack, firstDataRequest }: PeriodParams,
    onResult: (bars: ChartBar[], meta: HistoryMetadata) => void,
    onError: Reason,
  ): void {
    const symbol = tickerOf(info);
    const wish = { from, to, ...(countBack > 0 ? { countback: countBack } : {}) };
    const onWindow = (window: HistoryWindow) => {
      if (firstDataRequest) {
        const newest = window.bars.slice(-REMEMBERED);
        this.#shown.set(keyOf(symbol, resolution), { asOfUs: window.asOfUs, newest });
      }
      onResult(window.bars.map(chartBar), metadataOf(window));
    };
    this.#window(symbol, resolution, wish).then(onWindow, tellReason(onError));
  }

  subscribeBars(
    info: SymbolInfo,
    resolution: string,
    onTick: (bar: ChartBar) => void,
    listenerId: string,
    onResetCacheNeeded: () => void = () => {},
  ): void {
    const symbol = tickerOf(info);
    const shown = this.#shown.get(keyOf(symbol, resolution));
    const onReset = () => {
      this.#shown.delete(keyOf(symbol, resolution));
      onResetCacheNeeded();
      this.#onCorrection(symbol, resolution);
    };
    const listener = new ChartListener(shown?.newest ?? [], onTick, onReset);
    const sinceUs = shown && shown.asOfUs > 0 ? shown.asOfUs : undefined;
    this.#stops.get(listenerId)?.();
    this.#stops.set(
      listenerId,
      this.#live.listen(symbol, intervalOfResolution(resolution), sinceUs, listener),
    );
    this.stream.start();
  }

  unsubscribeBars(listenerId: string): void {
    this.#stops.get(listenerId)?.();
    this.#stops.delete(listenerId);
  }

  getMarks(
    info: SymbolInfo,
    from: number,
    to: number,
    onMarks: (marks: ChartMark[]) => void,
    resolution: string,
  ): void {
    this.#marks("/udf/marks", info, from, to, resolution).then(onMarks);
  }

  getTimescaleMarks(
    info: SymbolInfo,
    from: number,
    to: number,
    onMarks: (marks: ChartMark[]) => void,
    resolution: string,
  ): void {
    this.#marks("/udf/timescale_marks", info, from, to, resolution).then(onMarks);
  }

  getQuotes(symbols: string[], onQuotes: (quotes: QuoteData[]) => void, onError: Reason): void {
    this.#quotes(symbols).then(onQuotes, tellReason(onError));
  }

  subscribeQuotes(
    symbols: string[],
    fastSymbols: string[],
    onQuotes: (quotes: QuoteData[]) => void,
    listenerId: string,
  ): void {
    const ask = () => this.getQuotes([...new Set([...symbols, ...fastSymbols])], onQuotes, () => {});
    const timer = setInterval(ask, QUOTES_EVERY_MS);
    this.unsubscribeQuotes(listenerId);
    this.#stops.set(quotesKey(listenerId), () => clearInterval(timer));
    ask();
  }

  unsubscribeQuotes(listenerId: string): void {
    this.unsubscribeBars(quotesKey(listenerId));
  }

  async #window(symbol: string, resolution: string, wish: WindowWish): Promise<HistoryWindow> {
    return this.history.bars(symbol, intervalOfResolution(resolution), wish);
  }

  async #quotes(symbols: string[]): Promise<QuoteData[]> {
    const answer = await this.history.json<{ d: QuoteData[] }>("/udf/quotes", { symbols: symbols.join(",") });
    return answer.d;
  }

  /** A chart without marks is better than none: what fails is shown as no marks. */
  #marks(path: string, info: SymbolInfo, from: number, to: number, resolution: string): Promise<ChartMark[]> {
    const parameters = { symbol: tickerOf(info), from, to, resolution };
    return this.history.json<ChartMark[]>(path, parameters).catch(() => []);
  }
}

/** Hands live bars to one chart, in the only order that it takes. */
class ChartListener implements BarListener {
  #newest: Bar[];

  constructor(
    newest: readonly Bar[],
    private readonly onTick: (bar: ChartBar) => void,
    private readonly onReset: () => void,
  ) {
    this.#newest = [...newest];
  }

  onBar(bar: LiveBar): void {
    const last = this.#newest.at(-1);
    if (last !== undefined && bar.time < last.time) {
      this.#onOlder(bar);
      return;
    }
    if (last?.time === bar.time) {
      this.#newest.pop();
    }
    if (last?.time !== bar.time || !isSame(last, bar)) {
      this.onTick(chartBar(bar));
    }
    this.#newest = [...this.#newest.slice(1 - REMEMBERED), bar];
  }

  onOutOfReach(): void {
    this.onReset();
  }

  /** A bar that is as the chart has it needs nothing. One too old to be remembered is taken for a correction. */
  #onOlder(bar: LiveBar): void {
    const place = this.#newest.findIndex((one) => one.time === bar.time);
    if (place < 0 || !isSame(this.#newest[place], bar)) {
      if (place >= 0) {
        this.#newest[place] = bar;
      }
      this.onReset();
    }
  }
}

function chartBar({ time, open, high, low, close, volume }: Bar): ChartBar {
  return { time: time * 1000, open, high, low, close, volume };
}

function metadataOf({ bars, nextTime }: HistoryWindow): HistoryMetadata {
  if (bars.length > 0) {
    return { noData: false };
  }
  return nextTime === undefined ? { noData: true } : { noData: true, nextTime };
}

function tickerOf({ ticker, name }: SymbolInfo): string {
  return ticker ?? name;
}

function keyOf(symbol: string, resolution: string): string {
  return `${symbol} ${intervalOfResolution(resolution)}`;
}

function quotesKey(listenerId: string): string {
  return `quotes ${listenerId}`;
}

function tellReason(onError: Reason): (error: unknown) => void {
  return (error) => onError(error instanceof HistoryError ? error.reason : String(error));
}
