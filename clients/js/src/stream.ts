/**
 * Live prices from a gateway, as events or as an asynchronous iterator.
 *
 *     const stream = new Stream("http://127.0.0.1:8080", { symbols: ["BTCUSDT"], kinds: ["price", "trade"] });
 *     stream.on("price", ({ symbol, price }) => console.log(symbol, price));
 *     stream.start();
 *
 *     for await (const update of stream) { … }          // the same, read at one's own pace
 *
 * The rules of this file:
 * - It reconnects by itself, and checks everything that comes.
 * - Nothing is lost in silence: what is missing is an update of type "gap", in its place; what the gateway does
 *   not serve is a "refused"; what the connection does is a "state".
 * - Trades come once each, in the order of their ids, and go on after a reconnect where they were. Of candles
 *   every bar comes in its newest state, and no final or corrected one is left out.
 * - A listener is called at once. A slow `for await` gets the newest prices and every trade: see `backlog.ts`.
 */

import { streamUrl } from "./addresses.js";
import { Backlog, type Item } from "./backlog.js";
import { nowUs } from "./clock.js";
import { Connections, type Patience, type SocketConstructor } from "./connections.js";
import { StreamRefused } from "./errors.js";
import { type EventName, type EventOf, Listeners, type StreamState } from "./events.js";
import type { Figures } from "./figures.js";
import { RHYTHM } from "./heartbeat.js";
import { Intake } from "./intake.js";
import { checkedInterval } from "./intervals.js";
import { MarketWatch } from "./market_watch.js";
import { type ClientMessage, formatMessage, type StreamKind, type SymbolEntry } from "./messages.js";
import { fullName } from "./symbols.js";
import type { TradeId } from "./u64.js";
import { type Part, Wishes } from "./wishes.js";

const PATIENCE: Patience = { ...RHYTHM, openMs: 10_000, firstRetryMs: 500, maxRetryMs: 15_000 };
const KINDS_OF_VERSION: { [version: number]: readonly StreamKind[] } = {
  1: ["price"],
  2: ["price", "quote", "trade", "candle", "enigma", "compact"],
};

/** What to ask of symbols. */
export interface Wish {
  /** ["price"] if left out. "compact" brings prices too, in a third of the bytes and without their ages. */
  kinds?: readonly StreamKind[];
  /** Of candles; ["1m"] if left out. */
  intervals?: readonly string[];
  /** By symbol, the last trade that is known from another time: the stream goes on after it. */
  since?: { readonly [symbol: string]: TradeId };
  /** The version up to which candles are known, of a history answer or an earlier stream. */
  sinceUs?: number;
}

export interface StreamOptions extends Wish {
  symbols?: readonly string[];
  version?: 1 | 2;
  /** A session token or an API key, for where no cookie says who we are. */
  sessionToken?: string;
  /** Where there is no global WebSocket: Node before 22 needs that of the package `ws`, or of `undici`. */
  WebSocket?: unknown;
  patience?: Partial<Patience>;
}

/** The live stream of some symbols. */
export class Stream implements AsyncIterable<Item> {
  readonly url: string;
  /** The user's own list, where one is logged in. */
  readonly marketWatch: MarketWatch;
  readonly #options: StreamOptions;
  readonly #version: 1 | 2;
  readonly #listeners = new Listeners();
  readonly #wishes = new Wishes();
  readonly #intake: Intake;
  readonly #connections: Connections;
  /** What to do at the answer to each ping that is under way. A connection that answers none is dropped. */
  #pings: (() => void)[] = [];
  #wake: () => void = () => {};

  constructor(url: string, options: StreamOptions = {}) {
    this.url = streamUrl(url);
    this.#options = options;
    this.#version = options.version ?? 2;
    this.#intake = new Intake(this.#version, this.#listeners);
    this.#intake.onPong = () => this.#pings.shift()?.();
    this.#intake.onArrived = () => this.#wake();
    this.#intake.onSimulated = () => this.#tellState();
    this.marketWatch = new MarketWatch(this.#intake, (message) =>
      this.#connections.say(formatMessage(message)),
    );
    const patience = { ...PATIENCE, ...options.patience };
    const subprotocol = `tickgate.v${this.#version}`;
    const Socket = (options.WebSocket ?? globalThis.WebSocket) as SocketConstructor | undefined;
    if (Socket === undefined) {
      throw new TypeError("there is no WebSocket here: say one by the option `WebSocket`");
    }
    this.#connections = new Connections(this.url, subprotocol, Socket, patience, {
      onOpen: () => this.#onOpen(),
      onMessage: (data) => this.#onMessage(data),
      onState: () => this.#tellState(),
      onMistake: (error) => this.figures.onMistake(error),
      expectsData: () => !this.#wishes.isEmpty || this.marketWatch.symbols.length > 0,
      ping: () => this.#ping(() => {}),
    });
    this.subscribe(options.symbols ?? [], options);
  }

  // What it says of itself

  get state(): StreamState {
    return this.#connections.state;
  }

  /** Whether any symbol is of a simulated exchange: to be said wherever its price is shown. */
  get simulated(): boolean {
    return this.#intake.simulated;
  }

  get figures(): Figures {
    this.#intake.figures.reconnects = this.#connections.reconnects;
    return this.#intake.figures;
  }

  /** Up to which version candles are here: what another stream may go on from. */
  get versionUs(): number | undefined {
    return this.#intake.candleVersion.resumeUs;
  }

  /** By full name: the last trade of each symbol that is here, or the one before the first open gap. */
  get lastTrades(): ReadonlyMap<string, TradeId> {
    return this.#intake.lastIds();
  }

  /** What the gateway says of the symbols that this connection has introduced, by id. */
  get dictionary(): ReadonlyMap<number, SymbolEntry> {
    return this.#intake.dictionary;
  }

  // What it does

  /** Connect, unless that is done. After a refusal: try again. */
  start(): this {
    this.#connections.start();
    return this;
  }

  /** Hang up. Loops over this stream end once they have read what has arrived. */
  stop(): void {
    this.#connections.stop();
  }

  /** Call a function at every update or event of a type. Returns what takes it off again. */
  on<Name extends EventName>(type: Name, listener: (event: EventOf<Name>) => void): () => void {
    return this.#listeners.add(type, listener);
  }

  /** Ask for more symbols, or for more of the same, now and after every reconnect. */
  subscribe(symbols: readonly string[], wish: Wish = {}): void {
    const kinds = this.#checkedKinds(wish.kinds ?? this.#options.kinds ?? ["price"]);
    const withCandles = kinds.includes("candle");
    const intervals = withCandles
      ? (wish.intervals ?? this.#options.intervals ?? ["1m"]).map(checkedInterval)
      : [];
    const since = Object.entries(wish.since ?? {}).map(([symbol, id]) => [fullName(symbol), id] as const);
    for (const [name, id] of since) {
      this.#intake.knowTrade(name, id);
    }
    this.#ask(this.#wishes.add(symbols, kinds, intervals, new Map(since), wish.sinceUs), wish.sinceUs);
  }

  /** Ask no more for some symbols, or for some kinds and intervals of them. What is on its way still arrives. */
  unsubscribe(symbols: readonly string[], part: Part = {}): void {
    const { resumeUs } = this.#intake.candleVersion;
    const messages = this.#wishes.remove(symbols, part, this.#intake.lastIds(), resumeUs);
    for (const symbol of symbols) {
      if (!this.#wishes.has(fullName(symbol), "trade")) {
        this.#intake.forgetTrades(symbol);
      }
    }
    this.#ask(messages, resumeUs);
  }

  /** Read updates and events, from now on. Starts the stream. Throws StreamRefused when it is refused. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, void> {
    const backlog = new Backlog();
    this.#intake.backlogs.add(backlog);
    try {
      this.start();
      for (;;) {
        for (let item = backlog.take(); item !== undefined; item = backlog.take()) {
          yield item;
          this.#resumeIfRead();
        }
        if (this.state.name === "stopped") {
          return;
        }
        if (this.state.name === "refused") {
          throw new StreamRefused(this.state.code, this.state.reason);
        }
        await this.#arrival();
      }
    } finally {
      this.#intake.backlogs.delete(backlog);
      this.#resumeIfRead();
    }
  }

  // The conversation

  #onOpen(): string[] {
    const messages: ClientMessage[] = [];
    if (this.#options.sessionToken !== undefined) {
      messages.push({ type: "auth", session_token: this.#options.sessionToken });
    }
    const { resumeUs } = this.#intake.candleVersion;
    const onAnswered = this.#intake.candleVersion.onOpen();
    this.#intake.onOpen();
    messages.push(...this.#wishes.onOpen(this.#intake.lastIds(), resumeUs), { type: "ping" });
    this.#pings = [onAnswered];
    return messages.map(formatMessage);
  }

  #tellState(): void {
    this.#intake.tell({ type: "state", state: this.state, simulated: this.simulated });
  }

  #onMessage(data: Parameters<Intake["onFrame"]>[0] | string): string[] {
    if (typeof data === "string") {
      return this.#intake.onText(data) ? [formatMessage({ type: "pong" })] : [];
    }
    this.#intake.onFrame(data, nowUs());
    if ([...this.#intake.backlogs].some((one) => one.isFull)) {
      this.#connections.pause("its reader is too slow for so many trades");
    }
    return [];
  }

  #ask(messages: ClientMessage[], sinceUs: number | undefined): void {
    this.#say(messages);
    if (sinceUs !== undefined && messages.length > 0) {
      this.#ping(this.#intake.candleVersion.onAsked(sinceUs));
    }
  }

  #ping(onAnswered: () => void): void {
    if (this.#connections.say(formatMessage({ type: "ping" }))) {
      this.#pings.push(onAnswered);
    }
  }

  #say(messages: ClientMessage[]): void {
    for (const message of messages) {
      this.#connections.say(formatMessage(message));
    }
  }

  #resumeIfRead(): void {
    if (this.state.name === "paused" && [...this.#intake.backlogs].every((one) => one.hasRoom)) {
      this.#connections.start();
    }
  }

  /** Wait until something has arrived. Several loops wait for the same. */
  #arrival(): Promise<void> {
    const before = this.#wake;
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = () => {};
        before();
        resolve();
      };
    });
  }

  #checkedKinds(kinds: readonly StreamKind[]): readonly StreamKind[] {
    const served = KINDS_OF_VERSION[this.#version];
    const wrong = kinds.filter((kind) => !served.includes(kind));
    if (kinds.length === 0 || wrong.length > 0) {
      throw new RangeError(`a v${this.#version} stream has the kinds ${served.join(", ")}, not "${wrong}"`);
    }
    return kinds;
  }
}
