/** The line above the chart: what it is, what it costs now, and its last 24 hours. */

import type { PriceUpdate, QuoteUpdate, Stream } from "tickgate";
import { fullName } from "tickgate/symbols";
import { formatChange, formatCompact, formatPrice, NOTHING } from "../amounts.js";
import { find, write } from "../elements.js";
import type { Day, Days } from "../watchlist/day.js";
import { plainName } from "../watchlist/row.js";

const RELOAD_MS = 15_000;

export class Headline {
  readonly #stream: Stream;
  readonly #days: Days;
  #name = "";
  #price: PriceUpdate | null = null;
  #quote: QuoteUpdate | null = null;
  #shown: number | null = null;
  #isDue = false;

  constructor(stream: Stream, days: Days) {
    this.#stream = stream;
    this.#days = days;
    stream.on("price", (update) => {
      if (fullName(update.entry.name) === this.#name) {
        this.#price = update;
        this.#drawSoon();
      }
    });
    stream.on("quote", (update) => {
      if (fullName(update.entry.name) === this.#name) {
        this.#quote = update;
        this.#drawSoon();
      }
    });
    setInterval(() => this.#want(), RELOAD_MS);
  }

  /** Speak of another symbol. */
  show(symbol: string): void {
    this.#name = fullName(symbol);
    this.#price = this.#quote = this.#shown = null;
    write(find("headline-symbol"), plainName(this.#name));
    for (const id of [
      "headline-price",
      "headline-change",
      "high",
      "low",
      "day-volume",
      "bid",
      "ask",
      "spread",
    ]) {
      write(find(id), NOTHING);
    }
    find("headline").dataset.way = find("headline").dataset.day = "";
    find("headline-simulated").hidden = true;
    this.#titleNow();
    this.#want();
  }

  #want(): void {
    if (this.#name !== "") {
      this.#days.want(this.#name, () => this.#drawSoon());
    }
  }

  #drawSoon(): void {
    if (!this.#isDue) {
      this.#isDue = true;
      requestAnimationFrame(() => this.#draw());
    }
  }

  #draw(): void {
    this.#isDue = false;
    if (this.#price !== null) {
      this.#drawPrice(this.#price);
    }
    if (this.#quote !== null) {
      this.#drawQuote(this.#quote);
    }
    const day = this.#days.get(this.#name);
    if (day !== undefined && this.#price !== null) {
      this.#drawDay(day, this.#price);
    }
  }

  #drawPrice({ price, volume, entry }: PriceUpdate): void {
    if (this.#shown !== null && price !== this.#shown) {
      find("headline").dataset.way = price > this.#shown ? "up" : "down";
    }
    this.#shown = price;
    write(find("headline-price"), formatPrice(price, entry.price_precision));
    write(find("headline-venue"), entry.venue);
    write(find("day-volume"), formatCompact(volume));
    find("headline-simulated").hidden = !entry.simulated;
    this.#titleNow();
  }

  #drawQuote({ bid, bidSize, ask, askSize, entry }: QuoteUpdate): void {
    const places = entry.price_precision;
    write(find("bid"), formatPrice(bid, places));
    write(find("ask"), formatPrice(ask, places));
    find("bid").title = `${formatCompact(bidSize)} wanted at this price`;
    find("ask").title = `${formatCompact(askSize)} offered at this price`;
    write(find("spread"), formatPrice(ask - bid, places));
  }

  #drawDay(day: Day, { price, entry }: PriceUpdate): void {
    day.onPrice(price);
    const change = day.change(price);
    write(find("headline-change"), formatChange(change));
    find("headline").dataset.day = change > 0 ? "up" : change < 0 ? "down" : "";
    write(find("high"), formatPrice(day.high, entry.price_precision));
    write(find("low"), formatPrice(day.low, entry.price_precision));
  }

  /** The title of the tab has the price too, and says whether it is a real one. */
  #titleNow(): void {
    const update = this.#price;
    const price = update === null ? "" : `${formatPrice(update.price, update.entry.price_precision)} `;
    const isSimulated = update?.entry.simulated ?? this.#stream.simulated;
    document.title = `${isSimulated ? "SIMULATED " : ""}${price}${plainName(this.#name)} · tickgate`;
  }
}
