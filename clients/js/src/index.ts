/** The client of a tickgate gateway: the live stream, history joined with it, and everything they speak of. */

export type { Item } from "./backlog.js";
export { BarSeries, type BarSeriesEvents } from "./bars.js";
export type { Patience } from "./connections.js";
export {
  BadMessage,
  CloseCode,
  HistoryError,
  ProtocolError,
  StreamRefused,
  UnknownInterval,
} from "./errors.js";
export type * from "./events.js";
export type { Ages, Figures } from "./figures.js";
export { GapState } from "./frames_trades.js";
export { type Bar, History, type HistoryOptions, type HistoryWindow, type WindowWish } from "./history.js";
export { INTERVAL_NAMES, type Interval, intervalOfResolution, resolutionOf } from "./intervals.js";
export { type BarListener, type LiveBar, LiveBars } from "./live_bars.js";
export type { MarketWatch } from "./market_watch.js";
export type { StreamKind, SymbolEntry } from "./messages.js";
export { Stream, type StreamOptions, type Wish } from "./stream.js";
export { fullName } from "./symbols.js";
export type { TradeId } from "./u64.js";
export type * from "./updates.js";
export type { Part } from "./wishes.js";
