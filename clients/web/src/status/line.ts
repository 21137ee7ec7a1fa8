/** The line that says how the stream stands, and whether prices are of a simulated exchange. */

import type { Stream } from "tickgate";
import { find, write } from "../elements.js";
import { describeState } from "./words.js";

const EVERY_MS = 500;

export class StateLine {
  readonly #stream: Stream;
  readonly #text = find("state-text");
  readonly #detail = find("state-detail");
  readonly #spoken = find("state-spoken");
  readonly #retry = find<HTMLButtonElement>("retry");

  #frames = 0;
  #heardMs = Date.now();

  constructor(stream: Stream) {
    this.#stream = stream;
    stream.on("state", () => this.show());
    addEventListener("online", () => this.show());
    addEventListener("offline", () => this.show());
    setInterval(() => this.show(), EVERY_MS);
    this.#retry.addEventListener("click", () => {
      stream.stop();
      stream.start();
    });
    this.show();
  }

  show(): void {
    const { state, figures } = this.#stream;
    if (figures.frames !== this.#frames) {
      this.#frames = figures.frames;
      this.#heardMs = Date.now();
    }
    const { tone, short, detail, canRetry } = describeState(
      state,
      navigator.onLine,
      this.#heardMs,
      Date.now(),
    );
    if (document.body.dataset.state !== tone) {
      document.body.dataset.state = tone;
      write(this.#spoken, `The stream is ${short}.`); // a countdown is not read out
    }
    document.body.toggleAttribute("data-simulated", this.#stream.simulated);
    write(this.#text, short);
    write(this.#detail, detail);
    this.#retry.hidden = !canRetry;
  }
}
