/**
 * What arrived and was not read yet, for one `for await` loop.
 *
 * The rules of this file:
 * - One place per symbol and kind for prices, quotes and Enigma levels. A newer value takes the place of an
 *   older unread one and counts its changes too: a slow reader gets the newest, in the order in which symbols
 *   first changed, and this part is never longer than the watchlist.
 * - Events are kept in order, up to `MAX_EVENTS`. Full: the oldest event goes, and is counted.
 * - Trades and gaps are all kept, in order. So is every bar, in its newest state. Full, at `MAX_KEPT` of them
 *   together: a browser cannot stop reading a socket, so the stream hangs up (`isFull`), and comes back to where
 *   it was once half of them are read (`hasRoom`).
 */

import type { StreamEvent } from "./events.js";
import type { Update } from "./updates.js";

const MAX_EVENTS = 256;
const MAX_KEPT = 10_000;

export type Item = Update | StreamEvent;

export class Backlog {
  /** Values that a newer one replaced before they were read. */
  conflated = 0;
  droppedEvents = 0;
  readonly #items = new Map<string, Item>();
  readonly #eventKeys: string[] = [];
  #nextKey = 0;
  #kept = 0;

  get size(): number {
    return this.#items.size;
  }

  get isFull(): boolean {
    return this.#kept >= MAX_KEPT;
  }

  get hasRoom(): boolean {
    return this.#kept <= MAX_KEPT / 2;
  }

  put(update: Update): void {
    switch (update.type) {
      case "trade":
      case "gap":
        this.#items.set(`t${this.#nextKey++}`, update);
        this.#kept++;
        break;
      case "candle": {
        const key = `c${update.entry.id} ${update.interval} ${update.openMs}`;
        this.#kept += this.#items.has(key) ? 0 : 1;
        this.#replace(key, update);
        break;
      }
      default: {
        const key = `${update.type} ${update.entry.id}`;
        const older = this.#items.get(key) as typeof update | undefined;
        this.#replace(key, older ? { ...update, changes: update.changes + older.changes } : update);
      }
    }
  }

  putEvent(event: StreamEvent): void {
    if (this.#eventKeys.length === MAX_EVENTS) {
      this.#items.delete(this.#eventKeys.shift()!);
      this.droppedEvents++;
    }
    const key = `e${this.#nextKey++}`;
    this.#eventKeys.push(key);
    this.#items.set(key, event);
  }

  /** Take the oldest item out; undefined when there is none. */
  take(): Item | undefined {
    for (const [key, item] of this.#items) {
      this.#items.delete(key);
      if (key[0] === "e" && key === this.#eventKeys[0]) {
        this.#eventKeys.shift();
      } else if (item.type === "trade" || item.type === "gap" || item.type === "candle") {
        this.#kept--;
      }
      return item;
    }
    return undefined;
  }

  #replace(key: string, update: Update): void {
    this.conflated += this.#items.has(key) ? 1 : 0;
    this.#items.set(key, update);
  }
}
