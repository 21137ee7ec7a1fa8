import { describe, expect, test } from "vitest";
import { TradeIds } from "../src/continuity.js";
import { GapState } from "../src/frames.js";
import type { TradeId } from "../src/u64.js";

const NEW = { isNew: true, unexplained: [] };
const DOUBLE = { isNew: false, unexplained: [] };

function gap(state: number, firstId: TradeId, lastId: TradeId) {
  return { state, firstId, lastId };
}

describe("ids of trades", () => {
  test("the first is a beginning, the next ones follow", () => {
    const ids = new TradeIds();
    expect([ids.onTrade(100), ids.onTrade(101), ids.onTrade(101)]).toEqual([NEW, NEW, DOUBLE]);
    expect(ids.resumeFrom).toBe(101);
  });

  test("a jump of which nobody spoke is reported, and resumed from before", () => {
    const ids = new TradeIds(10);
    expect(ids.onTrade(15)).toEqual({ isNew: true, unexplained: [[11, 14]] });
    expect(ids.resumeFrom).toBe(10);
    expect([ids.onTrade(12), ids.onTrade(12), ids.onTrade(15)]).toEqual([NEW, DOUBLE, DOUBLE]);
  });

  test("an open gap explains a jump and is filled later", () => {
    const ids = new TradeIds(10);
    ids.onGap(gap(GapState.OPEN, 11, 12));
    expect(ids.onTrade(13)).toEqual(NEW);
    expect(ids.resumeFrom).toBe(10);
    expect([ids.onTrade(11), ids.onTrade(12)]).toEqual([NEW, NEW]);
    expect(ids.resumeFrom).toBe(13);
  });

  test("a lost gap explains a jump, and is not waited for", () => {
    const ids = new TradeIds(10);
    ids.onGap(gap(GapState.LOST, 11, 20));
    expect(ids.onTrade(21)).toEqual(NEW);
    expect(ids.resumeFrom).toBe(21);
    expect(ids.onTrade(15)).toEqual(DOUBLE);
  });

  test("a gap explains only what it names", () => {
    const ids = new TradeIds(10);
    ids.onGap(gap(GapState.LOST, 12, 13));
    expect(ids.onTrade(15).unexplained).toEqual([
      [11, 11],
      [14, 14],
    ]);
  });

  test("a lost gap without ids says that the venue counts anew", () => {
    const ids = new TradeIds(10);
    ids.onGap(gap(GapState.LOST, 0, 0));
    expect(ids.onTrade(3)).toEqual(NEW);
    expect(ids.resumeFrom).toBe(3);
  });

  test("ids beyond 2^53 are exact, also where they cross it", () => {
    const ids = new TradeIds(Number.MAX_SAFE_INTEGER - 1);
    expect(ids.onTrade(Number.MAX_SAFE_INTEGER)).toEqual(NEW);
    expect(ids.onTrade(9_007_199_254_740_992n)).toEqual(NEW);
    expect(ids.onTrade(9_007_199_254_740_994n).unexplained).toEqual([
      [9_007_199_254_740_993n, 9_007_199_254_740_993n],
    ]);
    expect(ids.resumeFrom).toBe(9_007_199_254_740_992n);
  });
});
