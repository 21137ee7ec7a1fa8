/**
 * What arrives on a stream: frames and messages become updates and events, and what to resume from.
 *
 * The rules of this file:
 * - Every frame's CRC and every symbol id is checked: a ProtocolError ends the connection that brought it.
 * - Trades go on after the last id of each symbol, candles after the version that the last CANDLE frame stated.
 * - Whether trades are complete is checked here too: a jump of ids that the gateway did not explain is a
 *   GapUpdate that says so.
 * - Nobody pays for what nobody listens to: updates are built for listeners and readers only.
 */

import type { Backlog } from "./backlog.js";
import { CandleVersion } from "./candle_version.js";
import { TradeIds } from "./continuity.js";
import { UnknownSymbolId } from "./errors.js";
import type { EventName, Listeners, StreamEvent } from "./events.js";
import { Figures } from "./figures.js";
import { decodeV1, decodeV2, type Frame, type FrameData } from "./frames.js";
import type { CandleFrame } from "./frames_candles.js";
import { Bases } from "./frames_compact.js";
import type { EnigmaFrame, PriceFrame, QuoteFrame } from "./frames_newest.js";
import { GapState, type TradeFrame } from "./frames_trades.js";
import type { FrameV1 } from "./frames_v1.js";
import { Kind } from "./frames_v2.js";
import { parseServerMessage, type SymbolEntry } from "./messages.js";
import { PriceColumns } from "./price_columns.js";
import { fullName } from "./symbols.js";
import type { TradeId } from "./u64.js";
import { candleOf, gapOf, newestOf, timelessPrice, tradeOf, type Update } from "./updates.js";

const NEWEST_TYPE = { [Kind.PRICE]: "price", [Kind.QUOTE]: "quote", [Kind.ENIGMA]: "enigma" } as const;

export class Intake {
  readonly #bases = new Bases();
  readonly #columns = new PriceColumns();
  readonly figures = new Figures(this.#bases);
  readonly dictionary = new Map<number, SymbolEntry>();
  readonly candleVersion = new CandleVersion();
  /** The unread of each reader. */
  readonly backlogs = new Set<Backlog>();
  /** Whether any symbol of this stream is of a simulated exchange. */
  simulated = false;
  marketWatch: string[] = [];
  /** Called when a ping of ours was answered. */
  onPong: () => void = () => {};
  /** Called once, at the first symbol that is simulated. */
  onSimulated: () => void = () => {};
  /** Called when something was put into the backlogs. */
  onArrived: () => void = () => {};
  readonly #version: 1 | 2;
  readonly #listeners: Listeners;
  readonly #tradeIds = new Map<string, TradeIds>();
  readonly #heard = new Set<number>();

  constructor(version: 1 | 2, listeners: Listeners) {
    this.#version = version;
    this.#listeners = listeners;
  }

  // What to resume from

  /** Start a new connection: what the last one introduced is forgotten. */
  onOpen(): void {
    this.dictionary.clear();
    this.#bases.clear();
    this.#heard.clear();
  }

  /** Note the last trade of a symbol that the reader has from another time. */
  knowTrade(symbol: string, lastId: TradeId): void {
    this.#tradeIds.set(fullName(symbol), new TradeIds(lastId));
  }

  /** Note that the trades of a symbol are not wanted any more. */
  forgetTrades(symbol: string): void {
    this.#tradeIds.delete(fullName(symbol));
  }

  /** By full name: what trades go on after. */
  lastIds(): Map<string, TradeId> {
    return new Map([...this.#tradeIds].map(([name, ids]) => [name, ids.resumeFrom]));
  }

  // What comes

  /** Take in a message; say whether to answer with a pong. Throws a ProtocolError. */
  onText(text: string): boolean {
    const message = parseServerMessage(text);
    switch (message.type) {
      case "ping":
        return true;
      case "pong":
        this.onPong();
        break;
      case "symbols":
        for (const entry of message.symbols) {
          this.dictionary.set(entry.id, entry);
        }
        this.#sayIfSimulated(message.symbols);
        break;
      case "error":
        this.tell({ ...message, type: "refused" });
        break;
      case "auth_confirmed":
        this.tell({ ...message, type: "auth" });
        break;
      case "market_watch_subscribe":
        this.#watch(message.symbols);
        break;
      case "auto_subscribe":
        this.#watch([...this.marketWatch.filter((one) => one !== message.data.symbol), message.data.symbol]);
        break;
      case "auto_unsubscribe":
        this.#watch(this.marketWatch.filter((one) => one !== message.data.symbol));
    }
    return false;
  }

  /** Take in a frame. Throws a ProtocolError, and then nothing of it was told. */
  onFrame(data: FrameData, nowUs: number): void {
    if (this.#version === 1) {
      this.#onV1(decodeV1(data), data.byteLength, nowUs);
    } else {
      this.#onV2(decodeV2(data), data.byteLength, nowUs);
    }
    this.onArrived();
  }

  /** Tell listeners and readers of an event. */
  tell(event: StreamEvent): void {
    // Readers first: a listener may cause the next event.
    for (const backlog of this.backlogs) {
      backlog.putEvent(event);
    }
    this.#listeners.tell(event);
    this.onArrived();
  }

  #sayIfSimulated(entries: SymbolEntry[]): void {
    if (!this.simulated && entries.some((entry) => entry.simulated)) {
      this.simulated = true;
      this.onSimulated();
    }
  }

  #watch(symbols: string[]): void {
    this.marketWatch = symbols;
    this.tell({ type: "market_watch", symbols });
  }

  #checkAndCount(frame: Frame | FrameV1, bytes: number, nowUs: number): void {
    for (let i = 0; i < frame.count; i++) {
      if (!this.dictionary.has(frame.symbolId(i))) {
        throw new UnknownSymbolId(frame.symbolId(i));
      }
    }
    this.figures.onFrame(frame, bytes, (id) => this.#entry(id).symbol, nowUs / 1000);
  }

  #onV1(frame: FrameV1, bytes: number, nowUs: number): void {
    this.#checkAndCount(frame, bytes, nowUs);
    if (this.#isWanted("price")) {
      this.#putPrices(frame.columns(this.#columns), nowUs);
    }
  }

  #onV2(frame: Frame, bytes: number, nowUs: number): void {
    const candles = frame.kind === Kind.CANDLE ? this.#candlesOf(frame, nowUs) : [];
    if (frame.kind === Kind.COMPACT) {
      this.#bases.columns(frame, this.#columns); // now, because it may be refused
    }
    this.#checkAndCount(frame, bytes, nowUs);
    switch (frame.kind) {
      case Kind.PRICE:
      case Kind.QUOTE:
      case Kind.ENIGMA:
        this.#onNewest(frame, nowUs);
        break;
      case Kind.BASE:
        this.#bases.update(frame);
        break;
      case Kind.COMPACT:
        if (this.#isWanted("price")) {
          this.#putPrices(this.#columns, nowUs);
        }
        break;
      case Kind.TRADE:
        this.#onTrades(frame, nowUs);
        break;
      case Kind.GAP:
        for (let i = 0; i < frame.count; i++) {
          const gap = gapOf(frame, i, this.#entry(frame.symbolId(i)));
          this.figures.lostTrades += gap.state === GapState.LOST ? lengthOf(gap.firstId, gap.lastId) : 0;
          this.#idsOf(gap.entry).onGap(gap);
          this.#put(gap);
        }
        break;
      case Kind.CANDLE:
        this.candleVersion.onFrame(frame.timeUs);
        for (const candle of candles) {
          this.#put(candle);
        }
        this.#listeners.tell({ type: "candles", candles, versionUs: frame.timeUs });
    }
  }

  #onNewest(frame: PriceFrame | QuoteFrame | EnigmaFrame, nowUs: number): void {
    const isWanted = this.#isWanted(NEWEST_TYPE[frame.kind]);
    const lateUs = nowUs - frame.timeUs;
    for (let i = 0; i < frame.count; i++) {
      const symbolId = frame.symbolId(i);
      const place = frame.kind * 65_536 + symbolId;
      if (this.#heard.has(place)) {
        this.figures.ages.add(lateUs + frame.delayUs(i));
        this.figures.conflated += frame.changes(i) - 1;
      } else {
        this.#heard.add(place); // what a connection begins with is as old as the last change
      }
      if (isWanted) {
        this.#put(newestOf(frame, i, this.#entry(symbolId), nowUs));
      }
    }
  }

  #putPrices({ count, symbolId, price, volume }: PriceColumns, nowUs: number): void {
    for (let i = 0; i < count; i++) {
      this.#put(timelessPrice(price[i], volume[i], this.#entry(symbolId[i]), nowUs));
    }
  }

  #onTrades(frame: TradeFrame, nowUs: number): void {
    for (let i = 0; i < frame.count; i++) {
      const entry = this.#entry(frame.symbolId(i));
      const { isNew, unexplained } = this.#idsOf(entry).onTrade(frame.id(i));
      if (!isNew) {
        this.figures.doubledTrades++;
        continue;
      }
      for (const [firstId, lastId] of unexplained) {
        this.figures.unexplainedGaps++;
        const times = { firstUs: 0, lastUs: frame.exchangeUs(i) };
        const what = { type: "gap", state: GapState.OPEN, cause: 0, explained: false } as const;
        this.#put({ ...what, symbol: entry.symbol, firstId, lastId, ...times, entry });
      }
      this.figures.trades++;
      this.#put(tradeOf(frame, i, entry, nowUs));
    }
  }

  /** Oldest first, whatever their order in the frame. */
  #candlesOf(frame: CandleFrame, nowUs: number) {
    const candles = Array.from({ length: frame.count }, (_, i) => {
      const entry = this.dictionary.get(frame.symbolId(i));
      if (entry === undefined) {
        throw new UnknownSymbolId(frame.symbolId(i));
      }
      return candleOf(frame, i, entry, nowUs);
    });
    return candles.sort((one, other) => one.openMs - other.openMs);
  }

  #entry(symbolId: number): SymbolEntry {
    return this.dictionary.get(symbolId)!; // `#checkAndCount` has seen that it is there
  }

  #idsOf(entry: SymbolEntry): TradeIds {
    const name = fullName(entry.name);
    let ids = this.#tradeIds.get(name);
    if (ids === undefined) {
      ids = new TradeIds();
      this.#tradeIds.set(name, ids);
    }
    return ids;
  }

  #isWanted(type: EventName): boolean {
    return this.backlogs.size > 0 || this.#listeners.wants(type);
  }

  #put(update: Update): void {
    for (const backlog of this.backlogs) {
      backlog.put(update);
    }
    this.#listeners.tell(update);
  }
}

function lengthOf(firstId: TradeId, lastId: TradeId): number {
  return lastId ? Number(lastId) - Number(firstId) + 1 : 0;
}
