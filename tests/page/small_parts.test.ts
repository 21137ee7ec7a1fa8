/** What the page reckons with, without a browser: averages, zones, words, ladders. */

import { expect, test } from "@playwright/test";
import {
  formatChange,
  formatCompact,
  formatMilliseconds,
  formatPrice,
} from "../../clients/web/src/amounts.js";
import { rungsAround, rungsOf } from "../../clients/web/src/chart/enigma.js";
import { describeGap, type Gap, reachOf } from "../../clients/web/src/chart/gaps.js";
import { Ema, type Indicator, Rsi } from "../../clients/web/src/chart/indicators.js";
import { describeState } from "../../clients/web/src/status/words.js";
import { Day } from "../../clients/web/src/watchlist/day.js";

/** Closes and RSI of ChartSchool's example of Wilder's RSI with 14 bars. */
const CLOSES = [
  44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328,
  45.614, 46.282, 46.282, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439,
];
const STRENGTHS = [70.53, 66.32, 66.55, 69.41, 66.36, 57.97];

function pushAll(indicator: Indicator, closes: number[]): (number | null)[] {
  return closes.map((close) => indicator.push(close));
}

test("the RSI is Wilder's", () => {
  const values = pushAll(new Rsi(14), CLOSES);
  expect(values.slice(0, 14)).toEqual(new Array(14).fill(null));
  for (const [at, strength] of STRENGTHS.entries()) {
    expect(values[14 + at]).toBeCloseTo(strength, 0);
  }
});

test("a market that does not move has an RSI in the middle", () => {
  expect(pushAll(new Rsi(2), [5, 5, 5, 5]).at(-1)).toBe(50);
});

test("the EMA begins as a mean, and follows by its share", () => {
  expect(pushAll(new Ema(3), [1, 2, 3, 7])).toEqual([null, null, 2, 4.5]);
});

test("what is peeked at is what is pushed after it", () => {
  for (const indicator of [new Ema(5), new Rsi(5)]) {
    for (const close of CLOSES) {
      expect(indicator.peek(close)).toBe(indicator.peek(close));
      expect(indicator.peek(close)).toBe(indicator.push(close));
    }
  }
});

test("the ladder of Enigma lies between the extremes", () => {
  const rungs = rungsOf({ low: 100, high: 200 });
  expect(rungs.map(({ price }) => price)).toEqual([100, 123.6, 138.2, 150, 161.8, 178.6, 200]);
  expect(rungsAround(rungs, 150).map((rung) => rung?.percent)).toEqual([50, 61.8]);
  expect(rungsAround(rungs, 250).map((rung) => rung?.percent)).toEqual([100, undefined]);
});

test("numbers have as many digits as are known, and a true minus", () => {
  expect(formatPrice(64000.5, 2)).toBe("64,000.50");
  expect(formatPrice(-1, 0)).toBe("−1");
  expect(formatChange(-0.0249)).toBe("−2.49 %");
  expect(formatChange(0.00001)).toBe("0.00 %");
  expect(formatCompact(25_140.6)).toBe("25.1K");
  expect(formatMilliseconds(0.84)).toBe("0.8 ms");
  expect(formatMilliseconds(1234)).toBe("1.2 s");
});

const GAP: Gap = {
  state: "filled",
  cause: "connection_lost",
  missing: 0,
  first_id: 11,
  last_id: 20,
  first_ms: 130_000,
  last_ms: 185_000,
  noticed_ms: 190_000,
};
const BARS = [60, 120, 180, 240].map((time) => ({ time, open: 1, high: 1, low: 1, close: 1, volume: 1 }));

test("a gap touches the bars that its trades are in", () => {
  expect(reachOf(GAP, BARS)).toEqual([1, 2]);
  expect(reachOf({ ...GAP, first_ms: 10_000, last_ms: 20_000 }, BARS)).toBeNull();
  expect(reachOf({ ...GAP, first_ms: 10_000, last_ms: 70_000 }, BARS)).toEqual([0, 0]);
  expect(reachOf(GAP, [])).toBeNull();
});

test("a gap says what it was and what became of it", () => {
  expect(describeGap(GAP)).toBe(
    "10 trades were missing, all recovered: the connection to the venue was lost",
  );
  expect(describeGap({ ...GAP, state: "lost", cause: "new_cause" })).toBe("10 trades lost: new cause");
});

test("a day changes against its first opening, and follows the price", () => {
  const day = new Day(BARS, 60);
  expect(day.change(1.1)).toBeCloseTo(0.1);
  day.onPrice(3);
  expect([day.high, day.low, day.closes]).toEqual([3, 1, [1, 1, 1, 3]]);
  expect(day.points(30, 10)).toBe("0.0,10.0 10.0,10.0 20.0,10.0 30.0,0.0");
});

test("the state is said in words, and never better than it is", () => {
  const say = (state: Parameters<typeof describeState>[0], heardMs = 0, isOnline = true) => {
    const { tone, short } = describeState(state, isOnline, heardMs, 60_000);
    return `${tone}: ${short}`;
  };
  const lost = { name: "reconnecting", code: 1006, reason: "", atMs: 62_500, attempt: 2 } as const;
  expect(say({ name: "live", sinceMs: 1 }, 59_500)).toBe("live: live");
  expect(say({ name: "live", sinceMs: 1 }, 50_000)).toBe("wait: quiet for 10 s");
  expect(say({ name: "stale", why: "unanswered", sinceMs: 1 }, 40_000)).toBe("wait: stale for 20 s");
  expect(say(lost)).toBe("down: reconnecting in 3 s");
  expect(say(lost, 0, false)).toBe("down: offline");
  expect(say({ name: "refused", code: 4429, reason: "too many messages" })).toBe(
    "down: refused: too many messages",
  );
});
