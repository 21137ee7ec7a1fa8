/**
 * EMA and RSI, one close at a time. Pure.
 *
 * `push` takes a close that is done, `peek` says what a close would make that may still change: the running bar is
 * peeked at again and again, and pushed once. Both return null while there are too few closes.
 */

export interface Indicator {
  push(close: number): number | null;
  peek(close: number): number | null;
}

/** Exponential moving average; it begins as the mean of the first `period` closes. */
export class Ema implements Indicator {
  readonly #period: number;
  #count = 0;
  #value = 0;

  constructor(period: number) {
    this.#period = period;
  }

  push(close: number): number | null {
    this.#value = this.#after(close);
    this.#count++;
    return this.#count >= this.#period ? this.#value : null;
  }

  peek(close: number): number | null {
    return this.#count + 1 >= this.#period ? this.#after(close) : null;
  }

  #after(close: number): number {
    const share = this.#count < this.#period ? 1 / (this.#count + 1) : 2 / (this.#period + 1);
    return this.#value + share * (close - this.#value);
  }
}

interface Moves {
  up: number;
  down: number;
}

/** Relative strength index as Wilder has it: his average begins as the mean of the first `period` moves. */
export class Rsi implements Indicator {
  readonly #period: number;
  #moves = 0;
  #last: number | null = null;
  #mean: Moves = { up: 0, down: 0 };

  constructor(period: number) {
    this.#period = period;
  }

  push(close: number): number | null {
    if (this.#last !== null) {
      this.#mean = this.#after(close, this.#last);
      this.#moves++;
    }
    this.#last = close;
    return this.#moves >= this.#period ? strengthOf(this.#mean) : null;
  }

  peek(close: number): number | null {
    const isWarm = this.#last !== null && this.#moves + 1 >= this.#period;
    return isWarm ? strengthOf(this.#after(close, this.#last!)) : null;
  }

  #after(close: number, last: number): Moves {
    const share = 1 / Math.min(this.#moves + 1, this.#period);
    const { up, down } = this.#mean;
    const move = close - last;
    return { up: up + share * (Math.max(move, 0) - up), down: down + share * (Math.max(-move, 0) - down) };
  }
}

/** A market that has not moved at all is in the middle. */
function strengthOf({ up, down }: Moves): number {
  return up + down === 0 ? 50 : (100 * up) / (up + down);
}
