/**
 * History over HTTP: the bars of a window, and up to which version they are complete.
 *
 * The rules of this file:
 * - A window is [from, to), in seconds, and `countback` outranks `from`: all that is in the window, and at least
 *   so many bars that open before `to`.
 * - The version comes with the answer, in a header. Where something on the way takes headers off, the same window
 *   is asked for at /api/v1, which states it in its body.
 * - What the gateway cannot answer now is asked again, for about ten seconds: a chart takes an error for good.
 *   What it refuses is not.
 */

import { httpUrl } from "./addresses.js";
import { HistoryError } from "./errors.js";
import { resolutionOf } from "./intervals.js";

const AS_OF = "X-Tickgate-As-Of";
const RETRY_BOUNDS_MS = [500, 1_000, 2_000, 4_000, 8_000];
const TOO_MANY_REQUESTS = 429;

/** One bar. `time` is when it opened, in seconds, as Lightweight Charts wants it. */
export interface Bar {
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

export interface WindowWish {
  /** Seconds; left out: as `countback` says. */
  from?: number;
  /** Seconds; left out: now, the running bar included. */
  to?: number;
  countback?: number;
}

/** An answer. */
export interface HistoryWindow {
  /** Oldest first. None: there is nothing before `to`, or, if `nextTime` is given, there is something there. */
  bars: Bar[];
  /** The version up to which the answer is complete: `sinceUs` of a subscription after it. 0: not known. */
  asOfUs: number;
  nextTime?: number;
}

export interface HistoryOptions {
  fetch?: typeof fetch;
  /** A session token or an API key, for where no cookie says who we are. */
  sessionToken?: string;
  /** How long to wait at most before each further attempt. */
  retryBoundsMs?: readonly number[];
}

type Parameters = { [name: string]: string | number | undefined };
type Columns = { s: string; errmsg?: string; nextTime?: number } & {
  [column in "t" | "o" | "h" | "l" | "c" | "v"]: number[];
};

export class History {
  readonly url: string;
  readonly #fetch: typeof fetch;
  readonly #headers: Record<string, string>;
  readonly #retryBoundsMs: readonly number[];

  constructor(url: string, options: HistoryOptions = {}) {
    this.url = httpUrl(url);
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    const { sessionToken } = options;
    this.#headers = sessionToken === undefined ? {} : { Authorization: `Bearer ${sessionToken}` };
    this.#retryBoundsMs = options.retryBoundsMs ?? RETRY_BOUNDS_MS;
  }

  /** Return the bars of a window. Throws HistoryError. */
  async bars(symbol: string, interval: string, wish: WindowWish): Promise<HistoryWindow> {
    const parameters = { symbol, resolution: resolutionOf(interval), ...wish };
    const { body, headers } = await this.#ask("/udf/history", parameters);
    const columns = body as Columns;
    if (columns.s !== "ok" && columns.s !== "no_data") {
      throw new HistoryError(this.url, columns.errmsg ?? "the answer is no history");
    }
    const asOf = headers.get(AS_OF);
    if (asOf === null && columns.s === "ok") {
      return this.#barsWithVersion(symbol, interval, wish);
    }
    const window = { bars: columns.s === "ok" ? barsOf(columns) : [], asOfUs: Number(asOf ?? 0) };
    return columns.nextTime === undefined ? window : { ...window, nextTime: columns.nextTime };
  }

  /** Ask for what is answered in JSON. Throws HistoryError. */
  async json<T>(path: string, parameters: Parameters = {}): Promise<T> {
    return (await this.#ask(path, parameters)).body as T;
  }

  async #barsWithVersion(symbol: string, interval: string, wish: WindowWish): Promise<HistoryWindow> {
    const path = `/api/v1/symbols/${encodeURIComponent(symbol)}/bars`;
    type Answer = { bars: Bar[]; as_of_us: number };
    const { bars, as_of_us } = await this.json<Answer>(path, { resolution: interval, ...wish });
    return { bars, asOfUs: as_of_us };
  }

  async #ask(path: string, parameters: Parameters): Promise<{ body: unknown; headers: Headers }> {
    const given = Object.entries(parameters).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)]],
    );
    const url = `${this.url}${path}?${new URLSearchParams(given)}`;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#askOnce(url);
      } catch (error) {
        const mayHelp = !(error instanceof HistoryError) || error.isPassing;
        if (!mayHelp || attempt >= this.#retryBoundsMs.length) {
          throw error instanceof HistoryError ? error : new HistoryError(url, String(error));
        }
        await waited(this.#retryBoundsMs[attempt] * (0.5 + Math.random() / 2));
      }
    }
  }

  async #askOnce(url: string): Promise<{ body: unknown; headers: Headers }> {
    const response = await this.#fetch(url, { headers: this.#headers });
    const { status, headers } = response;
    const body: unknown = await response.json();
    if (!response.ok) {
      const { errmsg, message } = body as { errmsg?: string; message?: string };
      const isPassing = status >= 500 || status === TOO_MANY_REQUESTS;
      throw new HistoryError(url, errmsg ?? message ?? `HTTP ${status}`, isPassing);
    }
    return { body, headers };
  }
}

function barsOf({ t, o, h, l, c, v }: Columns): Bar[] {
  return t.map((time, at) => ({ time, open: o[at], high: h[at], low: l[at], close: c[at], volume: v[at] }));
}

function waited(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
