/** One step of the ladder: a name, a figure, a second line, and what it means to whoever points at it. */

import { make, write } from "../elements.js";

export class Cell {
  readonly element: HTMLElement;
  readonly #figure = make("dd", { class: "value" });
  readonly #second = make("dd", { class: "second" });
  readonly #tip: HTMLElement;

  constructor(name: string, title: string, extra?: Element) {
    this.#tip = make("span", { class: "tip", role: "tooltip", id: `tip-${name}` });
    const figures = make("dl", {}, make("dt", {}, title), this.#figure, this.#second);
    this.element = make(
      "div",
      {
        class: `cell ${name}`,
        role: "group",
        tabindex: 0,
        "aria-label": title,
        "aria-describedby": `tip-${name}`,
      },
      figures,
      extra ?? null,
      this.#tip,
    );
  }

  /** `tone`: ok, warn or bad, where a figure is good or bad news. */
  show(value: string, second: string, tip: string, tone = ""): void {
    write(this.#figure, value);
    write(this.#second, second);
    write(this.#tip, tip);
    if (this.element.dataset.tone !== tone) {
      this.element.dataset.tone = tone;
    }
  }
}
