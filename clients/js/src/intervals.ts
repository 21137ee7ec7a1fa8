/**
 * Candle intervals: a name for people, its length in minutes for the wire, and what TradingView calls it.
 *
 * `1m` is a minute and `1M` a month, TradingView's `1` is a minute and its `1M` a month: case is never folded.
 */

import { UnknownInterval } from "./errors.js";

const INTERVALS = [
  ["1m", 1, "1"],
  ["3m", 3, "3"],
  ["5m", 5, "5"],
  ["15m", 15, "15"],
  ["30m", 30, "30"],
  ["1h", 60, "60"],
  ["2h", 120, "120"],
  ["4h", 240, "240"],
  ["6h", 360, "360"],
  ["8h", 480, "480"],
  ["12h", 720, "720"],
  ["1d", 1_440, "1D"],
  ["3d", 4_320, "3D"],
  ["1w", 10_080, "1W"],
  ["1M", 43_200, "1M"],
] as const;

export type Interval = (typeof INTERVALS)[number][0];

/** Shortest first. */
export const INTERVAL_NAMES: readonly Interval[] = INTERVALS.map(([name]) => name);
const SHORT_RESOLUTIONS: { [name: string]: string } = { D: "1D", W: "1W", M: "1M" };

/** Return the name of the wire's number. Throws UnknownInterval. */
export function intervalOfMinutes(minutes: number): Interval {
  return find(minutes, (one) => one[1] === minutes)[0];
}

/** Return the interval that TradingView calls so; old charts leave the 1 of `1D` out. Throws UnknownInterval. */
export function intervalOfResolution(resolution: string): Interval {
  const full = SHORT_RESOLUTIONS[resolution] ?? resolution;
  return find(resolution, (one) => one[2] === full)[0];
}

/** Return what TradingView calls an interval. Throws UnknownInterval. */
export function resolutionOf(interval: string): string {
  return find(interval, (one) => one[0] === interval)[2];
}

/** Return an interval as it is, if it is one. Throws UnknownInterval. */
export function checkedInterval(name: string): Interval {
  return find(name, (one) => one[0] === name)[0];
}

type Row = (typeof INTERVALS)[number];

function find(asked: unknown, fits: (row: Row) => boolean): Row {
  const row = INTERVALS.find(fits);
  if (row === undefined) {
    throw new UnknownInterval(asked);
  }
  return row;
}
