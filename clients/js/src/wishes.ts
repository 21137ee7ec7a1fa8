/**
 * What is wanted of which symbol, and the messages that say so. Pure.
 *
 * The rules of this file:
 * - After a reconnect everything is asked for again.
 * - The protocol takes a symbol off in every kind and interval. To take off a part of it, the symbol is taken off
 *   and what remains is asked for again, from where it was: nothing is missed, and the newest values come twice.
 * - Symbols are named in full on the wire, so that two spellings of one are one.
 */

import type { ClientMessage, StreamKind, Subscribe } from "./messages.js";
import { fullName } from "./symbols.js";
import type { TradeId } from "./u64.js";

/** How many symbols a message asks for: with long names too, that stays below the 64 KiB of a message. */
const SYMBOLS_A_MESSAGE = 1_000;
/** The same with `since`, where each is named twice and has a number of up to 19 digits. */
const RESUMES_A_MESSAGE = 300;

/** By full name: the last trade that is known. */
export type LastIds = ReadonlyMap<string, TradeId>;

interface Wish {
  kinds: Set<StreamKind>;
  intervals: Set<string>;
}

export interface Part {
  kinds?: readonly StreamKind[];
  intervals?: readonly string[];
}

export class Wishes {
  readonly #wishes = new Map<string, Wish>();

  get isEmpty(): boolean {
    return this.#wishes.size === 0;
  }

  /** Note a wish, and return the messages that state it. */
  add(
    symbols: readonly string[],
    kinds: readonly StreamKind[],
    intervals: readonly string[],
    since: LastIds,
    sinceUs: number | undefined,
  ): ClientMessage[] {
    const names = [...new Set(symbols.map(fullName))];
    for (const name of names) {
      const wish = this.#wishes.get(name) ?? { kinds: new Set(), intervals: new Set() };
      this.#wishes.set(name, {
        kinds: new Set([...wish.kinds, ...kinds]),
        intervals: new Set([...wish.intervals, ...intervals]),
      });
    }
    return subscriptions(names, kinds, intervals, since, sinceUs);
  }

  /** Forget wishes, or a part of them, and return the messages that say so. */
  remove(
    symbols: readonly string[],
    part: Part,
    lastIds: LastIds,
    sinceUs: number | undefined,
  ): ClientMessage[] {
    const names = [...new Set(symbols.map(fullName))].filter((name) => this.#wishes.has(name));
    for (const name of names) {
      const wish = this.#wishes.get(name)!;
      takeOff(wish, part);
      if (wish.kinds.size === 0) {
        this.#wishes.delete(name);
      }
    }
    const gone = parts(names, SYMBOLS_A_MESSAGE).map((some) => ({
      type: "unsubscribe" as const,
      symbols: some,
    }));
    const staying = names.filter((name) => this.#wishes.has(name));
    return [...gone, ...this.#state(staying, lastIds, sinceUs)];
  }

  /** Whether a symbol is wanted in some kind. */
  has(name: string, kind: StreamKind): boolean {
    return this.#wishes.get(name)?.kinds.has(kind) ?? false;
  }

  /** Return the messages with which a connection begins. */
  onOpen(lastIds: LastIds, sinceUs: number | undefined): ClientMessage[] {
    return this.#state([...this.#wishes.keys()], lastIds, sinceUs);
  }

  #state(names: string[], lastIds: LastIds, sinceUs: number | undefined): ClientMessage[] {
    const alike = new Map<string, string[]>();
    for (const name of names) {
      const { kinds, intervals } = this.#wishes.get(name)!;
      const key = `${[...kinds].sort()} ${[...intervals].sort()}`;
      alike.set(key, [...(alike.get(key) ?? []), name]);
    }
    return [...alike.values()].flatMap((some) => {
      const { kinds, intervals } = this.#wishes.get(some[0])!;
      return subscriptions(some, [...kinds], [...intervals], lastIds, sinceUs);
    });
  }
}

function takeOff(wish: Wish, { kinds, intervals }: Part): void {
  for (const interval of intervals ?? []) {
    wish.intervals.delete(interval);
  }
  if (kinds === undefined && intervals === undefined) {
    wish.kinds.clear();
  }
  for (const kind of kinds ?? []) {
    wish.kinds.delete(kind);
  }
  if (wish.intervals.size === 0 || !wish.kinds.has("candle")) {
    wish.kinds.delete("candle");
    wish.intervals.clear();
  }
}

function subscriptions(
  names: string[],
  kinds: readonly StreamKind[],
  intervals: readonly string[],
  since: LastIds,
  sinceUs: number | undefined,
): Subscribe[] {
  const withTrades = kinds.includes("trade");
  return parts(names, withTrades ? RESUMES_A_MESSAGE : SYMBOLS_A_MESSAGE).map((symbols) => {
    const message: Subscribe = { type: "subscribe", symbols, kinds: [...kinds] };
    const known = symbols.flatMap((name) => {
      const id = since.get(name);
      return withTrades && id ? [[name, id] as const] : [];
    });
    if (known.length > 0) {
      message.since = Object.fromEntries(known);
    }
    if (kinds.includes("candle")) {
      message.intervals = [...intervals];
      if (sinceUs !== undefined) {
        message.since_us = sinceUs;
      }
    }
    return message;
  });
}

function parts(names: string[], size: number): string[][] {
  return Array.from({ length: Math.ceil(names.length / size) }, (_, index) =>
    names.slice(index * size, (index + 1) * size),
  );
}
