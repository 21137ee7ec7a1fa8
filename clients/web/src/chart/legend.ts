/** What the chart shows in figures: the bar at the crosshair, or the last one; the lines; the gaps there. */

import { formatChange, formatCompact, formatPrice, NOTHING } from "../amounts.js";
import { find, make, write } from "../elements.js";
import type { PriceChart } from "./chart.js";
import { rungsAround, rungsOf } from "./enigma.js";
import { describeGap } from "./gaps.js";
import { EMA_PERIODS, RSI_PERIOD } from "./overlays.js";
import { formatTime, isByDay } from "./zone.js";

export class Legend {
  readonly #chart: PriceChart;
  readonly #time = make("span", { class: "time" });
  readonly #bar = make("span", { class: "bar" });
  readonly #figures = ["O", "H", "L", "C"].map((name) => new Figure(name, this.#bar));
  readonly #change = make("span", { class: "change" });
  readonly #volume = new Figure("V", this.#bar);
  readonly #lines = make("span", { class: "lines" });
  readonly #emas = EMA_PERIODS.map((period, at) => new Figure(`EMA ${period}`, this.#lines, `ema${at}`));
  readonly #rsi = new Figure(`RSI ${RSI_PERIOD}`, this.#lines, "rsi");
  readonly #enigma = new Figure("Enigma", this.#lines, "enigma");
  readonly #gaps = make("span", { class: "gaps" });
  #isDue = false;

  constructor(chart: PriceChart) {
    this.#chart = chart;
    this.#bar.insertBefore(this.#change, this.#volume.element);
    find("legend").append(this.#time, this.#bar, this.#lines, this.#gaps);
    chart.changed.on(() => {
      if (!this.#isDue) {
        this.#isDue = true;
        requestAnimationFrame(() => this.#draw());
      }
    });
  }

  #draw(): void {
    this.#isDue = false;
    const { bars, pointedAt, canvas, interval, overlays } = this.#chart;
    const index = pointedAt ?? bars.length - 1;
    const bar = bars[index];
    find("legend").hidden = bar === undefined;
    if (bar === undefined) {
      return;
    }
    write(this.#time, formatTime(canvas.zone, bar.time * 1000, isByDay(interval)));
    [bar.open, bar.high, bar.low, bar.close].forEach((price, at) => {
      this.#figures[at].show(formatPrice(price, canvas.precision));
    });
    this.#volume.show(formatCompact(bar.volume));
    write(this.#change, formatChange(bar.open > 0 ? bar.close / bar.open - 1 : 0));
    this.#bar.dataset.way = bar.close < bar.open ? "down" : "up";
    const { emas, rsi } = overlays.valuesAt(index);
    this.#emas.forEach((figure, at) => {
      figure.show(this.#priceOf(emas[at]));
    });
    this.#rsi.show(rsi === null ? undefined : formatPrice(rsi, 1));
    this.#enigma.show(this.#enigmaText());
    this.#gaps.replaceChildren(...this.#chart.gapsAt(index).map((gap) => make("span", {}, describeGap(gap))));
  }

  /** undefined: the line is not shown. null: too few bars so far. */
  #priceOf(value: number | null | undefined): string | undefined {
    return value === null
      ? NOTHING
      : value === undefined
        ? undefined
        : formatPrice(value, this.#chart.canvas.precision);
  }

  #enigmaText(): string | undefined {
    const { enigma, canvas, bars } = this.#chart;
    if (!this.#chart.showsEnigma) {
      return undefined;
    }
    if (enigma === null) {
      return "not known yet";
    }
    const price = bars[bars.length - 1].close;
    const [below, above] = rungsAround(rungsOf(enigma), price);
    const around = [below, above].flatMap((rung) =>
      rung === undefined ? [] : [`${rung.percent} % at ${formatPrice(rung.price, canvas.precision)}`],
    );
    return `${formatPrice(enigma.level, 2)} %  between ${around.join(" and ")}`;
  }
}

/** A name and a number. */
class Figure {
  readonly element: HTMLElement;
  readonly #value = make("span", { class: "value" });

  constructor(name: string, parent: HTMLElement, kind = "") {
    this.element = make("span", { class: `figure ${kind}`.trim() }, make("i", {}, name), this.#value);
    parent.append(this.element);
  }

  /** Show a value; undefined: hide. */
  show(text: string | undefined): void {
    this.element.hidden = text === undefined;
    write(this.#value, text ?? "");
  }
}
