/**
 * What a stream yields: updates, told apart by their `type`.
 *
 * Times named `…Us` are microseconds since 1970, `…Ms` milliseconds. A gateway states times in v2 only, and not
 * with compact prices; what does not come is null.
 */

import type { CandleFrame, CandleSource } from "./frames_candles.js";
import type { EnigmaFrame, NewestFrame, PriceFrame, QuoteFrame } from "./frames_newest.js";
import type { GapFrame, TradeFrame } from "./frames_trades.js";
import { type Interval, intervalOfMinutes } from "./intervals.js";
import type { SymbolEntry } from "./messages.js";
import type { TradeId } from "./u64.js";

interface OfSymbol {
  symbol: string;
  /** What the gateway says of the symbol: venue, precisions, whether it is simulated. */
  entry: SymbolEntry;
}

interface Newest extends OfSymbol {
  /** When the venue stated it; when the gateway heard it, if `fromReceipt`. */
  exchangeUs: number | null;
  /** How old it was when the gateway sent it. */
  delayUs: number | null;
  /** When it was decoded here, by this machine's clock. */
  receivedUs: number;
  /** From the venue to here; negative if the clocks disagree by more than that. */
  ageUs: number | null;
  /** How many changes this one stands for: more than 1 where newer ones replaced older ones. */
  changes: number;
  fromReceipt: boolean;
}

/** The newest price of one symbol. */
export interface PriceUpdate extends Newest {
  type: "price";
  price: number;
  /** Rolling 24 h volume in the base unit. */
  volume: number;
}

/** The newest best bid and ask of one symbol. */
export interface QuoteUpdate extends Newest {
  type: "quote";
  bid: number;
  bidSize: number;
  ask: number;
  askSize: number;
}

/** Where the price of one symbol stands between its all-time low (0) and high (100). */
export interface EnigmaUpdate extends Newest {
  type: "enigma";
  level: number;
  low: number;
  high: number;
}

/** One trade. Every one comes, once, and in the order of its ids, unless a GapUpdate says otherwise. */
export interface TradeUpdate extends OfSymbol {
  type: "trade";
  /** The venue's own: it rises by 1. */
  id: TradeId;
  price: number;
  quantity: number;
  takerSold: boolean;
  /** Asked for later, because it was not heard live. */
  recovered: boolean;
  /** How many of the venue's single trades this one aggregates. */
  tradesJoined: number;
  exchangeUs: number;
  sentUs: number;
  receivedUs: number;
}

/** Trades of one symbol are missing, or are no longer. */
export interface GapUpdate extends OfSymbol {
  type: "gap";
  /** A `GapState`: may come yet (flagged recovered), has come, will not come. */
  state: number;
  /** As in protocol/SPEC.md; 0 where the gateway gave none. */
  cause: number;
  firstId: TradeId;
  lastId: TradeId;
  /** The venue's times of the trades around it; 0 where they are not known. */
  firstUs: number;
  lastUs: number;
  /** The gateway said so. Otherwise this client noticed that ids jump, and nobody had said why. */
  explained: boolean;
}

/** The newest state of one bar: it replaces the one with the same symbol, interval and opening. */
export interface CandleUpdate extends OfSymbol {
  type: "candle";
  interval: Interval;
  openMs: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  trades: number;
  /** The part of `volume` that takers bought. */
  takerBuy: number;
  final: boolean;
  /** How often it was corrected after it had been final. */
  revision: number;
  source: CandleSource;
  /** What its frame stated; 0 where that was not known. */
  versionUs: number;
  receivedUs: number;
}

export type Update = PriceUpdate | QuoteUpdate | EnigmaUpdate | TradeUpdate | GapUpdate | CandleUpdate;

/** Make an update of a price that came without times: of v1, or compact. */
export function timelessPrice(
  price: number,
  volume: number,
  entry: SymbolEntry,
  receivedUs: number,
): PriceUpdate {
  return {
    type: "price",
    symbol: entry.symbol,
    price,
    volume,
    exchangeUs: null,
    delayUs: null,
    receivedUs,
    ageUs: null,
    changes: 1,
    fromReceipt: false,
    entry,
  };
}

export function newestOf(
  frame: PriceFrame | QuoteFrame | EnigmaFrame,
  i: number,
  entry: SymbolEntry,
  receivedUs: number,
): PriceUpdate | QuoteUpdate | EnigmaUpdate {
  const shared = sharedOf(frame, i, entry, receivedUs);
  switch (frame.kind) {
    case 1:
      return { type: "price", price: frame.price(i), volume: frame.volume(i), ...shared };
    case 2: {
      const [bid, bidSize] = [frame.bid(i), frame.bidSize(i)];
      return { type: "quote", bid, bidSize, ask: frame.ask(i), askSize: frame.askSize(i), ...shared };
    }
    case 5:
      return { type: "enigma", level: frame.level(i), low: frame.low(i), high: frame.high(i), ...shared };
  }
}

function sharedOf(
  frame: Pick<NewestFrame<never>, "timeUs" | "delayUs" | "changes" | "isFromReceipt">,
  i: number,
  entry: SymbolEntry,
  receivedUs: number,
): Newest {
  const delayUs = frame.delayUs(i);
  const exchangeUs = frame.timeUs - delayUs;
  return {
    symbol: entry.symbol,
    exchangeUs,
    delayUs,
    receivedUs,
    ageUs: receivedUs - exchangeUs,
    changes: frame.changes(i),
    fromReceipt: frame.isFromReceipt(i),
    entry,
  };
}

export function tradeOf(frame: TradeFrame, i: number, entry: SymbolEntry, receivedUs: number): TradeUpdate {
  return {
    type: "trade",
    symbol: entry.symbol,
    id: frame.id(i),
    price: frame.price(i),
    quantity: frame.quantity(i),
    takerSold: frame.takerSold(i),
    recovered: frame.isRecovered(i),
    tradesJoined: frame.tradesJoined(i),
    exchangeUs: frame.exchangeUs(i),
    sentUs: frame.timeUs,
    receivedUs,
    entry,
  };
}

export function gapOf(frame: GapFrame, i: number, entry: SymbolEntry): GapUpdate {
  const { symbolId: _, ...fields } = frame.row(i);
  return { type: "gap", symbol: entry.symbol, ...fields, explained: true, entry };
}

/** Throws UnknownInterval. */
export function candleOf(
  frame: CandleFrame,
  i: number,
  entry: SymbolEntry,
  receivedUs: number,
): CandleUpdate {
  return {
    type: "candle",
    symbol: entry.symbol,
    interval: intervalOfMinutes(frame.interval(i)),
    openMs: frame.openMs(i),
    open: frame.open(i),
    high: frame.high(i),
    low: frame.low(i),
    close: frame.close(i),
    volume: frame.volume(i),
    trades: frame.trades(i),
    takerBuy: frame.takerBuy(i),
    final: frame.isFinal(i),
    revision: frame.revision(i),
    source: frame.source(i),
    versionUs: frame.timeUs,
    receivedUs,
    entry,
  };
}
