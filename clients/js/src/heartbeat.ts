/**
 * Whether the gateway at the other end is still there, from when it was heard. Pure: it is told the time.
 *
 * The rules of this file:
 * - Whatever is received is a sign of life. When nothing was for a while, the gateway is pinged.
 * - A ping that is not answered makes the stream stale first, and lost after that.
 * - Pings that are answered while no market data comes make it stale too: connected, and still nothing to see.
 * - A tick that comes late means that this machine slept, or that a browser held the timers of a hidden page
 *   back: that the gateway was not heard meanwhile says nothing, so it is asked anew.
 */

export interface Rhythm {
  /** Ping after so much silence. */
  pingAfterMs: number;
  /** A ping that is not answered for so long makes the stream stale, */
  staleAfterMs: number;
  /** and for so long ends the connection. */
  lostAfterMs: number;
  /** Market data that does not come for so long, while pings are answered, makes it stale. */
  silentAfterMs: number;
}

export const RHYTHM: Rhythm = {
  pingAfterMs: 5_000,
  staleAfterMs: 3_000,
  lostAfterMs: 10_000,
  silentAfterMs: 15_000,
};
export const TICK_MS = 1_000;
const LATE_TICK_MS = 4_000;

export type Health = "live" | "unanswered" | "silent" | "lost";

export interface Verdict {
  health: Health;
  /** Whether to ping now. */
  ping: boolean;
}

export class Heartbeat {
  readonly #rhythm: Rhythm;
  #heardMs = 0;
  #dataMs = 0;
  /** When the ping was sent that is not answered; 0: none is. */
  #pingedMs = 0;
  #tickedMs = 0;

  constructor(rhythm: Rhythm) {
    this.#rhythm = rhythm;
  }

  /** A connection was opened, and pinged. */
  onOpen(nowMs: number): void {
    this.#heardMs = this.#pingedMs = this.#dataMs = this.#tickedMs = nowMs;
  }

  onHeard(nowMs: number, isData: boolean): void {
    this.#heardMs = nowMs;
    this.#pingedMs = 0;
    if (isData) {
      this.#dataMs = nowMs;
    }
  }

  /** Say how it stands. `expectsData`: whether anything was asked for. */
  onTick(nowMs: number, expectsData: boolean): Verdict {
    const isLate = nowMs - this.#tickedMs > LATE_TICK_MS;
    this.#tickedMs = nowMs;
    if (isLate) {
      this.#pingedMs = this.#heardMs = this.#dataMs = nowMs;
      return { health: "live", ping: true };
    }
    const isDue = this.#pingedMs === 0 && nowMs - this.#heardMs >= this.#rhythm.pingAfterMs;
    if (isDue) {
      this.#pingedMs = nowMs;
    }
    return { health: this.#health(nowMs, expectsData), ping: isDue };
  }

  #health(nowMs: number, expectsData: boolean): Health {
    const waitedMs = this.#pingedMs > 0 ? nowMs - this.#pingedMs : 0;
    if (waitedMs >= this.#rhythm.lostAfterMs) {
      return "lost";
    }
    if (waitedMs >= this.#rhythm.staleAfterMs) {
      return "unanswered";
    }
    return expectsData && nowMs - this.#dataMs >= this.#rhythm.silentAfterMs ? "silent" : "live";
  }
}
