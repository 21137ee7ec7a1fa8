/**
 * The watchlist as it is seen: a grid of rows, one of them chosen.
 *
 * The rules of this file:
 * - Prices are drawn once a frame of the screen, and only the rows that changed. Rows that are out of sight cost no
 *   layout (`content-visibility`) and no history, so that 500 of them are as quick as twenty.
 * - One row is in the tab order, the chosen one. Arrows choose, Alt and arrows move, Delete removes.
 */

import type { PriceUpdate, Stream } from "tickgate";
import { fullName } from "tickgate/symbols";
import { button, find, make } from "../elements.js";
import { notify } from "../notice.js";
import { Signal } from "../signal.js";
import type { Days } from "./day.js";
import { makeOrderable } from "./order.js";
import { plainName, Row } from "./row.js";
import type { Watchlist } from "./watchlist.js";

const LINES_EVERY_MS = 5_000;
const PAGE_ROWS = 10;
const REFUSALS: { [code: string]: string } = {
  unknown_symbol: "not listed",
  not_allowed: "not open to you",
  too_many_symbols: "too many",
};

export class List {
  readonly chosen = new Signal<[name: string]>();
  readonly #watchlist: Watchlist;
  readonly #days: Days;
  readonly #body = find("rows");
  readonly #rows = new Map<string, Row>();
  readonly #dirty = new Set<Row>();
  readonly #sight: IntersectionObserver;
  #current = "";

  constructor(stream: Stream, watchlist: Watchlist, days: Days) {
    this.#watchlist = watchlist;
    this.#days = days;
    this.#sight = new IntersectionObserver((entries) => this.#onSight(entries), { rootMargin: "100px" });
    stream.on("price", (update) => this.#onPrice(update));
    stream.on("refused", ({ code, symbols }) => this.#onRefused(code, symbols));
    watchlist.changed.on(() => this.#arrange());
    this.#body.addEventListener("click", (event) => this.#onClick(event));
    this.#body.addEventListener("keydown", (event) => this.#onKey(event));
    makeOrderable(this.#body, (name, place) => watchlist.move(name, place));
    setInterval(() => this.#refresh(), LINES_EVERY_MS);
    this.#arrange();
  }

  /** Mark the row of a symbol, if it has one. */
  choose(name: string): void {
    this.#rows.get(this.#current)?.element.setAttribute("aria-selected", "false");
    this.#current = fullName(name);
    const row = this.#rows.get(this.#current);
    row?.element.setAttribute("aria-selected", "true");
    row?.element.scrollIntoView({ block: "nearest" });
    this.#setTabStop();
  }

  /** Choose the row so many below the chosen one; say to which it came. */
  step(by: number): void {
    const { names } = this.#watchlist;
    const at = names.indexOf(this.#current);
    const name = names[Math.max(0, Math.min(names.length - 1, at < 0 ? 0 : at + by))];
    if (name !== undefined && name !== this.#current) {
      this.chosen.tell(name);
      this.#rows.get(name)?.element.focus({ preventScroll: true });
    }
  }

  // What it shows

  #arrange(): void {
    const { names } = this.#watchlist;
    for (const [name, row] of this.#rows) {
      if (!names.includes(name)) {
        this.#sight.unobserve(row.element);
        row.element.remove();
        this.#rows.delete(name);
      }
    }
    names.forEach((name, at) => {
      const { element } = this.#rows.get(name) ?? this.#addRow(name);
      if (this.#body.children[at] !== element) {
        const hadFocus = element.contains(document.activeElement);
        this.#body.insertBefore(element, this.#body.children[at] ?? null);
        if (hadFocus) {
          element.focus({ preventScroll: true });
        }
      }
    });
    find("empty").hidden = names.length > 0;
    this.choose(this.#current);
  }

  #addRow(name: string): Row {
    const row = new Row(name, () => this.#remove(name));
    this.#rows.set(name, row);
    this.#sight.observe(row.element);
    return row;
  }

  #setTabStop(): void {
    const stop = this.#rows.has(this.#current) ? this.#current : this.#watchlist.names[0];
    for (const [name, { element }] of this.#rows) {
      element.tabIndex = name === stop ? 0 : -1;
    }
  }

  #onPrice(update: PriceUpdate): void {
    const row = this.#rows.get(update.entry.name);
    if (row !== undefined) {
      row.update = update;
      if (this.#dirty.size === 0) {
        requestAnimationFrame(() => this.#draw());
      }
      this.#dirty.add(row);
    }
  }

  #draw(): void {
    for (const row of this.#dirty) {
      const isNew = row.entry === null;
      row.draw();
      if (isNew) {
        this.#want(row);
        this.#markSimulated();
      }
    }
    this.#dirty.clear();
  }

  /** Where all prices are simulated it is said once, above; where they are mixed, in each row. */
  #markSimulated(): void {
    const rows = [...this.#rows.values()].filter((row) => row.entry !== null);
    const simulated = rows.filter((row) => row.entry!.simulated);
    const isMixed = simulated.length > 0 && simulated.length < rows.length;
    for (const row of rows) {
      row.markSimulated(isMixed && row.entry!.simulated);
    }
    find("list-simulated").hidden = simulated.length === 0 || isMixed;
  }

  #onRefused(code: string, symbols: string[]): void {
    for (const symbol of symbols) {
      this.#rows.get(fullName(symbol))?.refuse(REFUSALS[code] ?? "not served");
    }
  }

  #onSight(entries: IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      const row = this.#rows.get((target as HTMLElement).dataset.symbol ?? "");
      if (row !== undefined) {
        row.isVisible = isIntersecting;
        this.#want(row);
      }
    }
  }

  #want(row: Row): void {
    if (row.isVisible && row.entry !== null) {
      const known = this.#days.get(row.name);
      if (known !== undefined && row.day === undefined) {
        row.day = known;
      }
      this.#days.want(row.name, (day) => {
        row.day = day;
      });
    }
  }

  #refresh(): void {
    for (const row of this.#rows.values()) {
      if (row.isVisible) {
        row.drawLine();
        this.#want(row);
      }
    }
  }

  // What is done with it

  #onClick({ target }: MouseEvent): void {
    const name = (target as Element).closest<HTMLElement>(".row")?.dataset.symbol;
    if (name !== undefined && (target as Element).closest("button") === null) {
      this.chosen.tell(name);
    }
  }

  #onKey(event: KeyboardEvent): void {
    const by = { ArrowUp: -1, ArrowDown: 1, PageUp: -PAGE_ROWS, PageDown: PAGE_ROWS }[event.key];
    if (event.key === "Delete") {
      this.#remove(this.#current);
    } else if (by !== undefined && event.altKey) {
      this.#watchlist.move(this.#current, this.#watchlist.names.indexOf(this.#current) + by);
    } else {
      return; // plain arrows are the whole page's
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #remove(name: string): void {
    const place = this.#watchlist.names.indexOf(name);
    if (place < 0) {
      return;
    }
    const hadFocus = this.#body.contains(document.activeElement);
    const next = this.#watchlist.names[place + 1] ?? this.#watchlist.names[place - 1];
    this.#watchlist.remove(name);
    if (hadFocus && next !== undefined) {
      this.#rows.get(next)?.element.focus();
    }
    const undo = () => {
      this.#watchlist.add(name);
      this.#watchlist.move(name, place);
    };
    notify(`${plainName(name)} is off the list.`, button("Undo", undo));
  }
}

/** Say what to do with a list that is empty. */
export function emptyNote(onFill: () => void): HTMLElement {
  return make(
    "p",
    { class: "note" },
    "Nothing is watched. Press ",
    make("kbd", {}, "/"),
    " to search, or ",
    button("start with a few", onFill, { class: "link" }),
    ".",
  );
}
