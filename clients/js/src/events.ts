/**
 * What happens to a stream beside its updates, and the list of listeners.
 *
 * The state of a connection tells the truth: `live` only while the gateway is heard, never because a socket
 * claims to be open.
 */

import type { AuthConfirmed, ErrorMessage } from "./messages.js";
import type { CandleUpdate, Update } from "./updates.js";

export type StreamState =
  /** Not started, or stopped by us. */
  | { name: "stopped" }
  /** Being opened, or open and not heard yet. */
  | { name: "connecting"; attempt: number }
  /** Heard, a moment ago. */
  | { name: "live"; sinceMs: number }
  /** Nothing is heard. `unanswered`: not even the answer to a ping. `silent`: pings are answered, but no market
   * data has come for a while. */
  | { name: "stale"; why: "unanswered" | "silent"; sinceMs: number }
  | { name: "reconnecting"; code: number; reason: string; atMs: number; attempt: number }
  /** A reader of this stream is too slow for its trades; it comes back by itself, to where it was. */
  | { name: "paused"; reason: string }
  /** The gateway will not have us back: mend the client, or log in, and `start()` again. */
  | { name: "refused"; code: number; reason: string };

/** The connection is in another state. */
export interface StateEvent {
  type: "state";
  state: StreamState;
  /** Whether any symbol of this stream is of a simulated exchange: to be said wherever its price is shown. */
  simulated: boolean;
}

/** The gateway does not serve a part of what was asked. The stream goes on with the rest. */
export interface RefusedEvent extends Omit<ErrorMessage, "type"> {
  type: "refused";
}

/** The user's market watch, whole, after it was told or has changed. */
export interface MarketWatchEvent {
  type: "market_watch";
  symbols: string[];
}

/** The gateway knows who we are. */
export interface AuthEvent extends Omit<AuthConfirmed, "type"> {
  type: "auth";
}

export type StreamEvent = StateEvent | RefusedEvent | MarketWatchEvent | AuthEvent;

/** The bars of one CANDLE frame, oldest first, and up to which version all candles are here; 0: not known. */
export interface CandlesEvent {
  type: "candles";
  candles: CandleUpdate[];
  versionUs: number;
}

type Any = Update | StreamEvent | CandlesEvent;
export type EventName = Any["type"];
export type EventOf<Name extends EventName> = Extract<Any, { type: Name }>;
type Listener = (event: never) => void;

/** Who wants to hear what. */
export class Listeners {
  readonly #listeners = new Map<EventName, Set<Listener>>();

  /** Add a listener; returns what takes it off again. */
  add<Name extends EventName>(name: Name, listener: (event: EventOf<Name>) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set<Listener>();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  wants(name: EventName): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  /** Tell everybody. What a listener throws is the page's mistake: it is reported there, and stops nobody here. */
  tell(event: Any): void {
    for (const listener of this.#listeners.get(event.type) ?? []) {
      try {
        (listener as (event: Any) => void)(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
