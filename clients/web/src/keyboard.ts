/** The keys of the page, and the dialog that lists them: both come from one table. */

import { button, make } from "./elements.js";

export interface Key {
  /** As `KeyboardEvent.key` has it. */
  keys: readonly string[];
  /** As the list shows them. */
  shown: string;
  does: string;
  run: (key: string) => void;
}

export class Keyboard {
  readonly #keys: readonly Key[];
  readonly #help: HTMLDialogElement;

  constructor(keys: readonly Key[], also: readonly (readonly [shown: string, does: string])[]) {
    const help: Key = { keys: ["?"], shown: "?", does: "this list", run: () => this.openHelp() };
    this.#keys = [...keys, help];
    const lines = [...this.#keys.map(({ shown, does }) => [shown, does] as const), ...also];
    this.#help = make(
      "dialog",
      { id: "help", "aria-labelledby": "help-title" },
      make("h2", { id: "help-title" }, "Keys"),
      make(
        "dl",
        {},
        ...lines.flatMap(([shown, does]) => [make("dt", {}, ...kbds(shown)), make("dd", {}, does)]),
      ),
      make(
        "p",
        { class: "soft" },
        "Charts by ",
        make(
          "a",
          { href: "https://www.tradingview.com/", target: "_blank", rel: "noreferrer" },
          "TradingView Lightweight Charts™",
        ),
        ". The change of 24 hours is against the bar of 15 minutes that was open 24 hours ago.",
      ),
      make(
        "div",
        { class: "buttons" },
        button("Close", () => this.#help.close(), { class: "main", autofocus: true }),
      ),
    );
    document.body.append(this.#help);
    addEventListener("keydown", (event) => this.#onKey(event));
  }

  openHelp(): void {
    this.#help.showModal();
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) {
      return;
    }
    const found = this.#keys.find(({ keys }) => keys.includes(event.key));
    if (found !== undefined) {
      event.preventDefault();
      found.run(event.key);
    }
  }
}

/** Keys that mean something where the focus is are not ours. */
function isTyping(target: EventTarget | null): boolean {
  const element = target instanceof Element ? target : null;
  return element?.closest("input, textarea, select, dialog[open]") != null;
}

function kbds(shown: string): Node[] {
  return shown
    .split(" ")
    .map((one) =>
      one === "–" || one === "and" ? document.createTextNode(` ${one} `) : make("kbd", {}, one),
    );
}
