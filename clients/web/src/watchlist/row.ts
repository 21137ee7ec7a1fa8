/**
 * One row of the watchlist: the symbol, its line, its price, its change over 24 hours, its volume.
 *
 * Of a price only what changed is coloured, from the first digit that differs, and the colour fades: so a glance
 * sees which way it went and by how much, and nothing blinks.
 */

import type { PriceUpdate, SymbolEntry } from "tickgate";
import { formatChange, formatCompact, formatPrice, NOTHING } from "../amounts.js";
import { button, draw, make, write } from "../elements.js";
import type { Day } from "./day.js";

const FADE_MS = 900;
/** A few shades instead of sixty a second: a list of hundreds costs little. */
const FADE = "steps(6)";
const [LINE_WIDTH, LINE_HEIGHT] = [52, 16];
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Row {
  readonly name: string;
  readonly element: HTMLElement;
  /** What arrived and is not drawn yet. */
  update: PriceUpdate | null = null;
  isVisible = false;
  entry: SymbolEntry | null = null;
  #price: number | null = null;
  #day: Day | undefined;
  #fade: Animation | undefined;
  readonly #head = make("span");
  readonly #tail = make("span", { class: "tail" });
  readonly #venue = make("small");
  readonly #simulated = make("small", { class: "simulated", hidden: true }, "SIM");
  readonly #line = draw("polyline");
  readonly #base = draw("line", { x1: 0, x2: LINE_WIDTH, class: "base" });
  readonly #change = make("span", { role: "gridcell", class: "change" }, NOTHING);
  readonly #volume = make("span", { role: "gridcell", class: "volume" }, NOTHING);

  constructor(name: string, onRemove: () => void) {
    this.name = name;
    const symbol = plainName(name);
    const box = { viewBox: `0 -1 ${LINE_WIDTH} ${LINE_HEIGHT + 2}`, "aria-hidden": "true", class: "line" };
    const remove = button("×", onRemove, { class: "remove", tabindex: -1, "aria-label": `Remove ${symbol}` });
    this.element = make(
      "div",
      { role: "row", class: "row", tabindex: -1, "aria-selected": "false" },
      make(
        "span",
        { role: "gridcell", class: "symbol" },
        make("span", { class: "grip", "aria-hidden": "true" }),
        make("b", {}, symbol),
        this.#venue,
        this.#simulated,
      ),
      make("span", { role: "gridcell", class: "spark" }, draw("svg", box, this.#base, this.#line)),
      make("span", { role: "gridcell", class: "price" }, this.#head, this.#tail),
      this.#change,
      this.#volume,
      make("span", { role: "gridcell", class: "act" }, remove),
    );
    this.element.dataset.symbol = name;
    write(this.#head, NOTHING);
  }

  get price(): number | null {
    return this.#price;
  }

  get day(): Day | undefined {
    return this.#day;
  }

  set day(day: Day) {
    this.#day = day;
    this.drawLine();
    this.#drawChange();
  }

  /** Say of which kind the prices of this row are, where not all rows are alike. */
  markSimulated(isSaid: boolean): void {
    this.#simulated.hidden = !isSaid;
  }

  /** Nothing comes: say why, in the place of the price. */
  refuse(reason: string): void {
    write(this.#head, reason);
    write(this.#tail, "");
    this.element.dataset.refused = "";
  }

  /** Draw what arrived. */
  draw(): void {
    const { update } = this;
    if (update === null) {
      return;
    }
    this.update = null;
    this.entry = update.entry;
    delete this.element.dataset.refused;
    write(this.#venue, update.entry.venue === "binance" ? "" : update.entry.venue);
    this.#drawPrice(update.price, update.entry.price_precision);
    write(this.#volume, formatCompact(update.volume));
    this.#day?.onPrice(update.price);
    this.#drawChange();
  }

  drawLine(): void {
    const day = this.#day;
    if (day !== undefined && day.closes.length > 1) {
      this.#line.setAttribute("points", day.points(LINE_WIDTH, LINE_HEIGHT));
      const [least, most] = [Math.min(...day.closes, day.open), Math.max(...day.closes, day.open)];
      const y = String(LINE_HEIGHT - ((day.open - least) * LINE_HEIGHT) / (most - least || 1));
      this.#base.setAttribute("y1", y);
      this.#base.setAttribute("y2", y);
    }
  }

  #drawPrice(price: number, precision: number): void {
    const text = formatPrice(price, precision);
    const before = `${this.#head.textContent}${this.#tail.textContent}`;
    if (text === before) {
      return;
    }
    const last = this.#price;
    this.#price = price;
    const same = last === null || text.length !== before.length ? 0 : sameLength(text, before);
    write(this.#head, text.slice(0, last === null ? text.length : same));
    write(this.#tail, last === null ? "" : text.slice(same));
    if (last !== null && price !== last) {
      this.element.dataset.way = price > last ? "up" : "down";
      this.#fade?.cancel();
      if (!calm.matches && this.isVisible) {
        const colour = price > last ? "var(--up)" : "var(--down)";
        this.#fade = this.#tail.animate(
          { color: [colour, colour, "var(--text)"] },
          { duration: FADE_MS, easing: FADE },
        );
      }
    }
  }

  #drawChange(): void {
    if (this.#day === undefined || this.#price === null) {
      return;
    }
    const change = this.#day.change(this.#price);
    write(this.#change, formatChange(change));
    this.element.dataset.day = change > 0 ? "up" : change < 0 ? "down" : "";
  }
}

/** Return a name as people say it: without the exchange, where that is the default one. */
export function plainName(name: string): string {
  return name.replace(/^BINANCE:/, "");
}

function sameLength(one: string, other: string): number {
  let at = 0;
  while (at < one.length && one[at] === other[at]) {
    at++;
  }
  return at;
}
