/**
 * Up to which version all candles of a stream are here. Pure.
 *
 * A CANDLE frame states it. But a frame may have been under way when more was asked for from an older version on:
 * it knows nothing of that. So a ping follows such a question, and only what comes after its answer counts. Until
 * then a new connection goes on from the older version, which is always safe: what is here already comes again.
 */

interface Question {
  sinceUs: number;
  isTaken: boolean;
}

export class CandleVersion {
  /** What the last CANDLE frame stated. */
  statedUs: number | undefined;
  #questions: Question[] = [];

  /** What to ask a new connection for; undefined: only for what is newest. */
  get resumeUs(): number | undefined {
    const versions = this.#questions.map((one) => one.sinceUs);
    if (this.statedUs !== undefined) {
      versions.push(this.statedUs);
    }
    return versions.length > 0 ? Math.min(...versions) : undefined;
  }

  /** More was asked for, from a version on. Returns what to call when a ping sent after it was answered. */
  onAsked(sinceUs: number): () => void {
    const question: Question = { sinceUs, isTaken: false };
    this.#questions.push(question);
    return () => {
      question.isTaken = true;
    };
  }

  /** A connection is opened: all is asked for in one. Returns the same as `onAsked`. */
  onOpen(): () => void {
    const sinceUs = this.resumeUs;
    this.#questions = [];
    return sinceUs === undefined ? () => {} : this.onAsked(sinceUs);
  }

  onFrame(versionUs: number): void {
    if (versionUs > 0) {
      this.statedUs = versionUs;
      this.#questions = this.#questions.filter((one) => !one.isTaken);
    }
  }
}
