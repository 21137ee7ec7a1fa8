/**
 * The time scale in the time of this place, or in UTC.
 *
 * The chart's own scale knows UTC only: a day would begin at its mark in the middle of the night elsewhere. So the
 * weight of a mark (does an hour begin here, a day, a year?) is worked out here in the zone that is shown. Bars of a
 * day and longer are days of UTC, by whatever clock one looks at them.
 */

import { defaultHorzScaleBehavior, TickMarkType, type Time, type TimeScalePoint } from "lightweight-charts";
import { INTERVAL_NAMES } from "tickgate";

export type Zone = "local" | "UTC";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const NAMES: readonly string[] = INTERVAL_NAMES;
const FIRST_LONG = NAMES.indexOf("1d");

/** How long a span begins at a mark, and how much that mark weighs: as in the library's own scale. */
const SPANS: readonly (readonly [spanMs: number, weight: number])[] = [
  [12 * HOUR_MS, 33],
  [6 * HOUR_MS, 32],
  [3 * HOUR_MS, 31],
  [HOUR_MS, 30],
  [30 * MINUTE_MS, 22],
  [5 * MINUTE_MS, 21],
  [MINUTE_MS, 20],
];
const [DAY, MONTH, YEAR] = [50, 60, 70];

/** The zone that bars of an interval are shown in, where people prefer one. */
export function zoneOf(interval: string, preferred: Zone): Zone {
  return isByDay(interval) ? "UTC" : preferred;
}

/** Whether bars of an interval are days and longer. */
export function isByDay(interval: string): boolean {
  return NAMES.indexOf(interval) >= FIRST_LONG;
}

/** Return a time whose UTC fields read as this one reads in a zone. */
export function readIn(zone: Zone, timeMs: number): Date {
  const offsetMs = zone === "UTC" ? 0 : new Date(timeMs).getTimezoneOffset() * MINUTE_MS;
  return new Date(timeMs - offsetMs);
}

/** Say how much a mark weighs at a time, after another one. */
export function weightAfter(before: Date, now: Date): number {
  if (before.getUTCFullYear() !== now.getUTCFullYear()) {
    return YEAR;
  }
  if (before.getUTCMonth() !== now.getUTCMonth()) {
    return MONTH;
  }
  if (before.getUTCDate() !== now.getUTCDate()) {
    return DAY;
  }
  const begins = SPANS.find(([spanMs]) => Math.floor(+before / spanMs) !== Math.floor(+now / spanMs));
  return begins?.[1] ?? 0;
}

/** Write a mark of the scale. */
export function formatMark(zone: Zone, timeMs: number, type: TickMarkType): string {
  const time = readIn(zone, timeMs);
  switch (type) {
    case TickMarkType.Year:
      return String(time.getUTCFullYear());
    case TickMarkType.Month:
      return MONTH_NAME.format(time);
    case TickMarkType.DayOfMonth:
      return String(time.getUTCDate());
    default:
      return CLOCK.format(time);
  }
}

/** Write a time in full, for the crosshair. */
export function formatTime(zone: Zone, timeMs: number, isDay = false): string {
  const time = readIn(zone, timeMs);
  return isDay ? DATE.format(time) : `${DATE.format(time)}  ${CLOCK.format(time)}`;
}

/** Write the time of day to the second. */
export function formatClock(zone: Zone, timeMs: number): string {
  return CLOCK_TO_SECOND.format(readIn(zone, timeMs));
}

/** How far the clocks here are from UTC: UTC+2, UTC−3:30. */
export function offsetName(timeMs: number): string {
  const minutes = -new Date(timeMs).getTimezoneOffset();
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  const half = rest ? `:${String(rest).padStart(2, "0")}` : "";
  return minutes === 0 ? "UTC" : `UTC${minutes < 0 ? "−" : "+"}${hours}${half}`;
}

/** The scale of a chart, whose zone can be changed; the bars have to be set anew after that. */
export class ZonedScale extends defaultHorzScaleBehavior() {
  zone: Zone = "UTC";

  override fillWeightsForPoints(points: readonly TimeScalePoint[], start: number): void {
    const at = (index: number) => readIn(this.zone, timeMsOf(points[index].originalTime as Time));
    // The first one is measured against where a bar before it would be.
    let before =
      start > 0 ? at(start - 1) : points.length > 1 ? new Date(2 * +at(0) - +at(1)) : new Date(Number.NaN);
    for (let index = start; index < points.length; index++) {
      const now = at(index);
      (points[index] as { timeWeight: number }).timeWeight = weightAfter(before, now);
      before = now;
    }
  }
}

/** All our times are seconds. */
export function timeMsOf(time: Time): number {
  return (time as number) * 1000;
}

const utc = (options: Intl.DateTimeFormatOptions) =>
  new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const MONTH_NAME = utc({ month: "short" });
const DATE = utc({ weekday: "short", day: "2-digit", month: "short", year: "numeric" });
const CLOCK = utc({ hour: "2-digit", minute: "2-digit" });
const CLOCK_TO_SECOND = utc({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
