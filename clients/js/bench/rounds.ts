/**
 * How times are taken: many short rounds, and all works in turn in each. What else the machine does then hits all
 * of them alike, and hits few of their rounds.
 */

const WARM_UP_MS = 30;
/** How many calls there are between two looks at the clock. */
const CALLS = 64;

/** Does its work on one of several inputs; returns a number that depends on all of it. */
export type Work = (turn: number) => number;

/** Where results go, so that no compiler finds out that nobody wants them. */
const kept = { sum: 0 };

/** Return what each work took in each round in microseconds, the shortest first. It is given `turns` inputs. */
export function timesUs(works: Work[], turns: number, rounds: number, roundMs: number): number[][] {
  for (const work of works) {
    onceUs(work, turns, WARM_UP_MS);
  }
  const times = works.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    works.forEach((work, index) => {
      times[index].push(onceUs(work, turns, roundMs));
    });
  }
  return times.map((some) => some.sort((one, other) => one - other));
}

function onceUs(work: Work, turns: number, roundMs: number): number {
  const started = performance.now();
  let done = 0;
  let elapsedMs = 0;
  do {
    for (let turn = 0; turn < CALLS; turn++) {
      kept.sum += work(turn % turns);
    }
    done += CALLS;
    elapsedMs = performance.now() - started;
  } while (elapsedMs < roundMs);
  return (elapsedMs * 1000) / done;
}
