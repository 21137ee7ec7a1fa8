/**
 * The search: what is typed is asked of the gateway, and what is chosen comes onto the list and into the chart.
 *
 * It is a combobox: the field keeps the focus, arrows go through what was found, Enter takes it, Escape leaves.
 */

import type { History } from "tickgate";
import { HistoryError } from "tickgate";
import { find, make, write } from "../elements.js";
import { Signal } from "../signal.js";
import { plainName } from "./row.js";

const PAUSE_MS = 90;
const FOUND = 40;

interface Found {
  full_name: string;
  description: string;
}

export class Search {
  /** A symbol was chosen, by its full name. */
  readonly chosen = new Signal<[name: string]>();
  readonly #history: History;
  readonly #isWatched: (name: string) => boolean;
  readonly #field = find<HTMLInputElement>("search");
  readonly #list = find("found");
  readonly #spoken = find("found-count");
  #found: Found[] = [];
  #at = 0;
  #turn = 0;
  #pause = 0;

  constructor(history: History, isWatched: (name: string) => boolean) {
    this.#history = history;
    this.#isWatched = isWatched;
    this.#field.addEventListener("input", () => this.#onInput());
    this.#field.addEventListener("keydown", (event) => this.#onKey(event));
    this.#field.addEventListener("focus", () => this.#onInput());
    this.#field.addEventListener("blur", () => this.#close());
    // A press inside must not take the focus, or the list would be gone before the click.
    this.#list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.#list.addEventListener("click", ({ target }) => {
      const option = (target as Element).closest<HTMLElement>("[role=option]");
      this.#take(option === null ? undefined : this.#found[Number(option.dataset.at)]);
    });
  }

  /** Begin to search. */
  open(): void {
    this.#field.focus();
    this.#field.select();
  }

  #onInput(): void {
    clearTimeout(this.#pause);
    const query = this.#field.value.trim();
    const turn = ++this.#turn;
    if (query === "") {
      this.#close();
      return;
    }
    this.#pause = window.setTimeout(() => this.#ask(query, turn), PAUSE_MS);
  }

  async #ask(query: string, turn: number): Promise<void> {
    const show = (found: Found[], note: string) => {
      if (turn === this.#turn) {
        this.#show(found, note);
      }
    };
    try {
      const found = await this.#history.json<Found[]>("/udf/search", { query, limit: FOUND });
      show(found, `Nothing is listed here by “${query}”.`);
    } catch (error) {
      show([], error instanceof HistoryError ? `No answer: ${error.reason}` : String(error));
    }
  }

  #show(found: Found[], note: string): void {
    this.#found = found;
    this.#at = 0;
    const options = found.map((one, at) => this.#option(one, at));
    this.#list.replaceChildren(
      ...(found.length > 0
        ? options
        : [make("div", { class: "note", role: "option", "aria-disabled": "true" }, note)]),
    );
    write(this.#spoken, found.length > 0 ? `${found.length} found` : note);
    this.#list.hidden = false;
    this.#field.setAttribute("aria-expanded", "true");
    this.#mark();
  }

  #option({ full_name, description }: Found, at: number): HTMLElement {
    const isWatched = this.#isWatched(full_name);
    return make(
      "div",
      { role: "option", id: `found-${at}`, "data-at": at, "aria-selected": "false" },
      make("b", {}, plainName(full_name)),
      make("span", { class: "soft" }, description),
      make("span", { class: "mark" }, isWatched ? "on the list" : "add"),
    );
  }

  #onKey(event: KeyboardEvent): void {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (by !== undefined && this.#found.length > 0) {
      this.#at = (this.#at + by + this.#found.length) % this.#found.length;
      this.#mark();
    } else if (event.key === "Enter") {
      this.#take(this.#found[this.#at]);
    } else if (event.key === "Escape") {
      this.#field.value = "";
      this.#field.blur();
    } else {
      return;
    }
    event.preventDefault();
  }

  #mark(): void {
    this.#list.querySelectorAll("[data-at]").forEach((option, at) => {
      option.setAttribute("aria-selected", String(at === this.#at));
      if (at === this.#at) {
        option.scrollIntoView({ block: "nearest" });
        this.#field.setAttribute("aria-activedescendant", option.id);
      }
    });
  }

  #take(found: Found | undefined): void {
    if (found !== undefined && !this.#list.hidden) {
      this.#field.value = "";
      this.#field.blur();
      this.chosen.tell(found.full_name);
    }
  }

  #close(): void {
    clearTimeout(this.#pause);
    this.#turn++;
    this.#found = [];
    this.#list.hidden = true;
    this.#field.setAttribute("aria-expanded", "false");
    this.#field.removeAttribute("aria-activedescendant");
  }
}
