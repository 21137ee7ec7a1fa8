/** The star beside the symbol of the chart: whether it is on the list, and the way on and off it by one press. */

import { draw, find } from "../elements.js";
import { plainName } from "./row.js";
import type { Watchlist } from "./watchlist.js";

const SHAPE = "M8 1.8l1.9 3.9 4.3.6-3.1 3 .7 4.3L8 11.6l-3.8 2 .7-4.3-3.1-3 4.3-.6z";

export class Star {
  readonly #watchlist: Watchlist;
  readonly #button = find<HTMLButtonElement>("star");
  #name = "";

  constructor(watchlist: Watchlist) {
    this.#watchlist = watchlist;
    this.#button.append(
      draw("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, draw("path", { d: SHAPE })),
    );
    this.#button.addEventListener("click", () => this.toggle());
    watchlist.changed.on(() => this.#draw());
  }

  /** Speak of another symbol. */
  show(name: string): void {
    this.#name = name;
    this.#draw();
  }

  toggle(): void {
    if (this.#watchlist.has(this.#name)) {
      this.#watchlist.remove(this.#name);
    } else {
      this.#watchlist.add(this.#name);
    }
  }

  #draw(): void {
    const isOn = this.#watchlist.has(this.#name);
    this.#button.ariaPressed = String(isOn);
    this.#button.ariaLabel = `${plainName(this.#name)} on the watchlist`;
    this.#button.title = isOn ? "Take it off the list (w)" : "Put it on the list (w)";
  }
}
