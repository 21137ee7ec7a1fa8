/**
 * The time in microseconds since 1970, finer than Date.now() and never far from it.
 *
 * performance.now() is fine but knows nothing of a clock that was set or of a machine that slept. Where the two
 * have come apart, Date.now() is believed.
 */

const MOST_APART_MS = 2;
let startedMs = Date.now() - performance.now();

export function nowUs(): number {
  const wallMs = Date.now();
  const passedMs = performance.now();
  if (Math.abs(startedMs + passedMs - wallMs) > MOST_APART_MS) {
    startedMs = wallMs - passedMs;
  }
  return Math.round((startedMs + passedMs) * 1000);
}
