/**
 * Enigma: where the price stands between its lowest and highest ever, and Fibonacci's lines between the two.
 *
 * The stream carries level, low and high; the lines follow by formula, so they are never older than the extremes.
 */

import { type IPriceLine, type ISeriesApi, LineStyle, type Time } from "lightweight-charts";
import type { EnigmaUpdate } from "tickgate";
import type { Colours } from "./colours.js";

export const LADDER = [0, 23.6, 38.2, 50, 61.8, 78.6, 100] as const;

export interface Rung {
  percent: number;
  price: number;
}

/** Return the prices of the ladder, up from the low. */
export function rungsOf({ low, high }: Pick<EnigmaUpdate, "low" | "high">): Rung[] {
  return LADDER.map((percent) => ({ percent, price: low + ((high - low) * percent) / 100 }));
}

/** Return the rungs next to a price: below or at it, and above. */
export function rungsAround(rungs: readonly Rung[], price: number): [Rung | undefined, Rung | undefined] {
  return [rungs.findLast((rung) => rung.price <= price), rungs.find((rung) => rung.price > price)];
}

/** The lines of the ladder on the candles. */
export class EnigmaLines {
  readonly #series: ISeriesApi<"Candlestick", Time>;
  #lines: IPriceLine[] = [];
  #shown = "";

  constructor(series: ISeriesApi<"Candlestick", Time>) {
    this.#series = series;
  }

  /** Show the ladder of what was last said; null: none. */
  show(update: EnigmaUpdate | null, colours: Colours): void {
    const wanted = update === null ? "" : `${update.low} ${update.high} ${colours.faint}`;
    if (wanted === this.#shown) {
      return;
    }
    this.#shown = wanted;
    for (const line of this.#lines) {
      this.#series.removePriceLine(line);
    }
    this.#lines = (update === null ? [] : rungsOf(update)).map(({ percent, price }) =>
      this.#series.createPriceLine({
        price,
        title: `${percent} %`,
        color: colours.accent,
        lineWidth: 1,
        lineStyle: percent % 100 === 0 ? LineStyle.Solid : LineStyle.SparseDotted,
        axisLabelColor: colours.grid,
        axisLabelTextColor: colours.soft,
      }),
    );
  }
}
