/**
 * What a stream has seen, counted: how much, how fast, how old, and what was missing.
 *
 * The rules of this file:
 * - Rates are means over the last whole seconds.
 * - Ages are those of live values. The values that a connection starts with are not among them: they are as old
 *   as the last change. An age compares the venue's clock with this machine's.
 * - What the same would be in JSON is written out for one frame of each kind in `SAMPLE_EVERY`, and reckoned
 *   from that for the others: writing it always would cost more than the stream.
 */

import { BadChecksum, type ProtocolError } from "./errors.js";
import type { Frame } from "./frames.js";
import { Bases } from "./frames_compact.js";
import { FrameV1 } from "./frames_v1.js";
import { jsonEquivalent } from "./json_equivalent.js";

const SAMPLE_EVERY = 64;
const RATE_SECONDS = 4;
const AGES_KEPT = 2_048;
/** Upper bounds in milliseconds; the last column is for what is older. */
const AGE_BOUNDS_MS = [
  0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000,
];

/** Counts of a stream; it goes on counting. */
export class Figures {
  frames = 0;
  records = 0;
  /** Payload of the binary frames. */
  bytes = 0;
  /** Frames and messages that broke the protocol, a wrong CRC among them. */
  badFrames = 0;
  badChecksums = 0;
  reconnects = 0;
  trades = 0;
  /** Trades that were here already: a replay repeats some where a hole before them was open. */
  doubledTrades = 0;
  /** Trades that the gateway said will not come. */
  lostTrades = 0;
  /** Jumps of a trade id of which the gateway had not spoken: none come from one that keeps its word. */
  unexplainedGaps = 0;
  /** Values that the gateway left out because a newer one stood for them. */
  conflated = 0;
  readonly ages = new Ages();
  readonly #messages = new Rate();
  readonly #payload = new Rate();
  readonly #json = new Rate();
  readonly #samples = new Map<number, { seen: number; ratio: number }>();
  readonly #bases: Bases;
  #jsonBytes = 0;

  /** The bases are those that compact frames count from. */
  constructor(bases: Bases = new Bases()) {
    this.#bases = bases;
  }

  /** About how many bytes the same would have been in JSON; see `json_equivalent.ts`. */
  get jsonBytes(): number {
    return Math.round(this.#jsonBytes);
  }

  /** Binary frames a second. */
  messagesPerS(nowMs: number = Date.now()): number {
    return this.#messages.perSecond(nowMs);
  }

  bytesPerS(nowMs: number = Date.now()): number {
    return this.#payload.perSecond(nowMs);
  }

  jsonBytesPerS(nowMs: number = Date.now()): number {
    return this.#json.perSecond(nowMs);
  }

  onFrame(frame: Frame | FrameV1, bytes: number, nameOf: (symbolId: number) => string, nowMs: number): void {
    const jsonBytes = bytes * this.#jsonRatio(frame, bytes, nameOf);
    this.frames++;
    this.records += frame.count;
    this.bytes += bytes;
    this.#jsonBytes += jsonBytes;
    this.#messages.add(1, nowMs);
    this.#payload.add(bytes, nowMs);
    this.#json.add(jsonBytes, nowMs);
  }

  onMistake(error: ProtocolError): void {
    this.badFrames++;
    if (error instanceof BadChecksum) {
      this.badChecksums++;
    }
  }

  #jsonRatio(frame: Frame | FrameV1, bytes: number, nameOf: (symbolId: number) => string): number {
    const kind = frame instanceof FrameV1 ? 0 : frame.kind;
    const sample = this.#samples.get(kind) ?? { seen: 0, ratio: 1 };
    if (sample.seen++ % SAMPLE_EVERY === 0 && frame.count > 0) {
      const ratio = jsonEquivalent(frame, nameOf, this.#bases).length / bytes;
      sample.ratio = sample.seen === 1 ? ratio : (3 * sample.ratio + ratio) / 4;
    }
    this.#samples.set(kind, sample);
    return sample.ratio;
  }
}

/** A sum by seconds. */
export class Rate {
  readonly #sums = new Float64Array(RATE_SECONDS + 1);
  readonly #seconds = new Float64Array(RATE_SECONDS + 1);
  #first = Number.POSITIVE_INFINITY;

  add(amount: number, nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const place = second % this.#sums.length;
    if (this.#seconds[place] !== second) {
      this.#seconds[place] = second;
      this.#sums[place] = 0;
    }
    this.#sums[place] += amount;
    this.#first = Math.min(this.#first, second);
  }

  /** Return the mean over the last whole seconds; 0 in the first one. */
  perSecond(nowMs: number): number {
    const now = Math.floor(nowMs / 1000);
    const seconds = Math.min(RATE_SECONDS, now - this.#first);
    let sum = 0;
    this.#seconds.forEach((second, place) => {
      sum += second < now && second >= now - seconds ? this.#sums[place] : 0;
    });
    return seconds > 0 ? sum / seconds : 0;
  }
}

/** How old values were when they arrived here. */
export class Ages {
  readonly boundsMs: readonly number[] = AGE_BOUNDS_MS;
  /** How many were below each bound and not below the one before; the last is of all others. */
  readonly counts: number[] = new Array(AGE_BOUNDS_MS.length + 1).fill(0);
  readonly #lastUs = new Float64Array(AGES_KEPT);
  #seen = 0;

  get seen(): number {
    return this.#seen;
  }

  add(ageUs: number): void {
    const column = AGE_BOUNDS_MS.findIndex((bound) => ageUs < bound * 1000);
    this.counts[column < 0 ? AGE_BOUNDS_MS.length : column]++;
    this.#lastUs[this.#seen++ % AGES_KEPT] = ageUs;
  }

  /** Return the age that this share of the last 2,048 values was younger than; null without any. */
  quantileMs(share: number): number | null {
    const sorted = this.#lastUs.slice(0, Math.min(this.#seen, AGES_KEPT)).sort();
    if (sorted.length === 0) {
      return null;
    }
    return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] / 1000;
  }
}
