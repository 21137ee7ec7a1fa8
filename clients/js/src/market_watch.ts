/**
 * The market watch: the symbols that the gateway keeps for a user, and whose prices it sends without being asked.
 *
 * It is the gateway's: what is said here takes effect when the gateway says so, by an event "market_watch".
 * Without a connection nothing is said, and each function returns false.
 */

import type { Intake } from "./intake.js";
import type { ClientMessage } from "./messages.js";

export class MarketWatch {
  constructor(
    private readonly intake: Intake,
    private readonly say: (message: ClientMessage) => boolean,
  ) {}

  /** As the gateway last told it. */
  get symbols(): readonly string[] {
    return this.intake.marketWatch;
  }

  /** Put symbols at the end of it. */
  add(...symbols: string[]): boolean {
    return this.say({ type: "market_watch_add", symbols });
  }

  remove(...symbols: string[]): boolean {
    return this.say({ type: "market_watch_remove", symbols });
  }

  /** State the whole of it in another order. */
  order(symbols: readonly string[]): boolean {
    return this.say({ type: "market_watch_order", symbols: [...symbols] });
  }
}
