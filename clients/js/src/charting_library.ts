/**
 * What the TradingView Charting Library says to a datafeed, as far as this one needs it. The library itself is
 * private; its own types fit these.
 */

/** Times are milliseconds here: the library's `Bar`. */
export interface ChartBar {
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

/** As /udf/symbols states it. */
export interface SymbolInfo {
  name: string;
  ticker?: string;
  [field: string]: unknown;
}

/** Seconds. `to` is exclusive; `countBack` outranks `from`. */
export interface PeriodParams {
  from: number;
  to: number;
  countBack: number;
  firstDataRequest: boolean;
}

export interface HistoryMetadata {
  noData?: boolean;
  /** Seconds, as the library really counts. */
  nextTime?: number | null;
}

export interface SearchResult {
  symbol: string;
  full_name?: string;
  description: string;
  exchange: string;
  ticker?: string;
  type: string;
}

export interface QuoteData {
  s: "ok" | "error";
  n: string;
  v: { [field: string]: string | number };
  errmsg?: string;
}

export interface ChartMark {
  id: string | number;
  time: number;
  [field: string]: unknown;
}

export type Reason = (reason: string) => void;
