/**
 * The symbols that are watched, and in what order.
 *
 * The rules of this file:
 * - Of whoever is logged in the list is the gateway's: what is changed here takes effect when the gateway says so,
 *   and what is changed elsewhere is here at once. Only a new order is shown before the gateway has agreed.
 * - Of anybody else it is kept in this browser, and other tabs follow.
 * - Names are in full, `BINANCE:BTCUSDT`, so that two spellings of one are one.
 */

import { fullName } from "tickgate/symbols";
import type { Account } from "../account/account.js";
import type { Gateway } from "../gateway.js";
import { onChanged, read, remember } from "../preferences.js";
import { Signal } from "../signal.js";

const PRICE = { kinds: ["price"] } as const;

export class Watchlist {
  readonly changed = new Signal();
  /** Something could not be done, in words. */
  readonly refused = new Signal<[reason: string]>();
  #names: readonly string[] = [];
  #subscribed = new Set<string>();
  /** Asked for whatever the list holds: the symbol of the chart. */
  #pinned: string | null = null;

  constructor(
    private readonly gateway: Gateway,
    private readonly account: Account,
  ) {
    const { stream } = gateway;
    stream.on("market_watch", ({ symbols }) => this.#become(symbols));
    stream.on("refused", ({ code, message }) => {
      if (["watchlist_full", "other_symbols", "unavailable"].includes(code)) {
        this.#become(stream.marketWatch.symbols);
        this.refused.tell(`The gateway did not change the list: ${message}.`);
      }
    });
    account.changed.on(() => this.#isLocal && this.#become(read("watchlist")));
    onChanged("watchlist", () => this.#isLocal && this.#become(read("watchlist")));
    this.#become(read("watchlist"));
  }

  /** In full, in the user's order. */
  get names(): readonly string[] {
    return this.#names;
  }

  has(symbol: string): boolean {
    return this.#names.includes(fullName(symbol));
  }

  /** Put symbols at the end, unless they are on it. */
  add(...symbols: string[]): void {
    const fresh = [...new Set(symbols.map(fullName))].filter((name) => !this.#names.includes(name));
    if (fresh.length > 0) {
      this.#change([...this.#names, ...fresh], () => this.gateway.stream.marketWatch.add(...fresh));
    }
  }

  remove(symbol: string): void {
    const name = fullName(symbol);
    const rest = this.#names.filter((one) => one !== name);
    this.#change(rest, () => this.gateway.stream.marketWatch.remove(name));
  }

  /** Put a symbol that is on the list at another place of it. */
  move(symbol: string, place: number): void {
    const name = fullName(symbol);
    const order = this.#names.filter((one) => one !== name);
    order.splice(Math.max(0, Math.min(place, order.length)), 0, name);
    if (order.some((one, at) => one !== this.#names[at])) {
      const ask = () => this.gateway.stream.marketWatch.order(order);
      if (this.#change(order, ask) && !this.#isLocal) {
        this.#become(order);
      }
    }
  }

  /** Have the prices of one symbol too, on the list or not. */
  pin(symbol: string): void {
    this.#pinned = fullName(symbol);
    this.#subscribe();
  }

  get #isLocal(): boolean {
    return this.account.user === "";
  }

  #change(names: readonly string[], ask: () => boolean): boolean {
    if (this.#isLocal) {
      remember("watchlist", names);
      this.#become(names);
      return true;
    }
    const isAsked = ask();
    if (!isAsked) {
      this.refused.tell("The list is kept by the gateway, which is not connected now.");
    }
    return isAsked;
  }

  #become(symbols: readonly string[]): void {
    this.#names = [...new Set(symbols.map(fullName))];
    this.#subscribe();
    this.changed.tell();
  }

  /** The prices of the gateway's own list come without asking; asking all the same keeps one way for both. */
  #subscribe(): void {
    const wanted = new Set(this.#pinned === null ? this.#names : [...this.#names, this.#pinned]);
    const gone = [...this.#subscribed].filter((name) => !wanted.has(name));
    const fresh = [...wanted].filter((name) => !this.#subscribed.has(name));
    this.#subscribed = wanted;
    if (gone.length > 0) {
      this.gateway.stream.unsubscribe(gone, PRICE);
    }
    if (fresh.length > 0) {
      this.gateway.stream.subscribe(fresh, PRICE);
    }
  }
}
