import { expect, test } from "vitest";
import { retryBoundMs } from "../src/connections.js";
import { Heartbeat, type Rhythm, TICK_MS } from "../src/heartbeat.js";

const RHYTHM: Rhythm = {
  pingAfterMs: 5_000,
  staleAfterMs: 3_000,
  lostAfterMs: 10_000,
  silentAfterMs: 15_000,
};

/** Tick every second from one time to another, and return what was said, without repetitions. */
function ticks(heart: Heartbeat, fromMs: number, toMs: number, expectsData = true): string[] {
  const said: string[] = [];
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += TICK_MS) {
    const { health, ping } = heart.onTick(nowMs, expectsData);
    said.push(ping ? `${health} ping` : health);
  }
  return said.filter((one, at) => one !== said[at - 1]);
}

function opened(): Heartbeat {
  const heart = new Heartbeat(RHYTHM);
  heart.onOpen(100_000);
  heart.onHeard(100_000, true);
  return heart;
}

test("a gateway that is heard is live", () => {
  const heart = opened();
  for (let nowMs = 101_000; nowMs < 160_000; nowMs += 1_000) {
    heart.onHeard(nowMs, true);
    expect(heart.onTick(nowMs, true)).toEqual({ health: "live", ping: false });
  }
});

test("silence is asked about, then stale, then the end", () => {
  expect(ticks(opened(), 101_000, 116_000)).toEqual(["live", "live ping", "live", "unanswered", "lost"]);
});

test("answers without data are silence too, but only where data was asked for", () => {
  for (const [expectsData, last] of [
    [true, "silent"],
    [false, "live"],
  ] as const) {
    const heart = opened();
    for (let nowMs = 101_000; nowMs < 130_000; nowMs += 1_000) {
      heart.onHeard(nowMs, false);
      heart.onTick(nowMs, expectsData);
    }
    expect(heart.onTick(130_000, expectsData).health).toBe(last);
  }
});

test("a connection that never says anything is lost", () => {
  const heart = new Heartbeat(RHYTHM);
  heart.onOpen(100_000);
  expect(ticks(heart, 101_000, 111_000)).toEqual(["live", "unanswered", "lost"]);
});

test("a machine that slept asks again before it gives up", () => {
  const heart = opened();
  expect(heart.onTick(101_000, true)).toEqual({ health: "live", ping: false });
  expect(heart.onTick(9_000_000, true)).toEqual({ health: "live", ping: true });
  expect(ticks(heart, 9_001_000, 9_011_000)).toEqual(["live", "unanswered", "lost"]);
});

test("the bound of the backoff doubles up to its most", () => {
  expect([0, 1, 2, 5, 40].map((failures) => retryBoundMs(failures, 500, 15_000))).toEqual([
    500, 1_000, 2_000, 15_000, 15_000,
  ]);
});
