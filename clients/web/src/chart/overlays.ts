/** The lines that are reckoned from the closes: two EMA over the candles, the RSI in a pane of its own. */

import {
  type IChartApiBase,
  type ISeriesApi,
  LineSeries,
  LineStyle,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import type { Bar } from "tickgate";
import type { Colours } from "./colours.js";
import { Ema, type Indicator, Rsi } from "./indicators.js";

export const EMA_PERIODS = [20, 50] as const;
export const RSI_PERIOD = 14;
const RSI_BOUNDS = [30, 70];
const RSI_PANE = 1;
/** How the height is shared between the candles and the RSI. */
const STRETCH = [1000, 260];

const QUIET = {
  lineWidth: 1,
  priceLineVisible: false,
  lastValueVisible: false,
  crosshairMarkerVisible: false,
} as const;

/** One line, and its value at each bar. */
class OverlayLine {
  readonly series: ISeriesApi<"Line", Time>;
  readonly #begin: () => Indicator;
  #indicator: Indicator;
  /** How many bars the indicator has taken in. */
  #pushed = 0;

  constructor(series: ISeriesApi<"Line", Time>, begin: () => Indicator) {
    this.series = series;
    this.#begin = begin;
    this.#indicator = begin();
  }

  reset(bars: readonly Bar[]): void {
    this.#indicator = this.#begin();
    this.#pushed = Math.max(0, bars.length - 1);
    const done = bars.slice(0, this.#pushed).map((bar) => pointOf(bar, this.#indicator.push(bar.close)));
    const running = bars.slice(this.#pushed).map((bar) => pointOf(bar, this.#indicator.peek(bar.close)));
    this.series.setData([...done, ...running]);
  }

  /** The last bar has changed, or a new one follows. */
  update(bars: readonly Bar[]): void {
    while (this.#pushed < bars.length - 1) {
      const bar = bars[this.#pushed++];
      this.series.update(pointOf(bar, this.#indicator.push(bar.close)));
    }
    const last = bars[bars.length - 1];
    this.series.update(pointOf(last, this.#indicator.peek(last.close)));
  }
}

/** A point without a value holds the place on the time scale. */
function pointOf(bar: Bar, value: number | null) {
  const time = bar.time as UTCTimestamp;
  return value === null ? { time } : { time, value };
}

export class Overlays {
  readonly #chart: IChartApiBase<Time>;
  #emas: OverlayLine[] = [];
  #rsi: OverlayLine | null = null;

  constructor(chart: IChartApiBase<Time>) {
    this.#chart = chart;
  }

  /** Show and hide lines. They are empty until `reset`. */
  choose(names: ReadonlySet<string>): void {
    if (names.has("ema") !== this.#emas.length > 0) {
      for (const { series } of this.#emas) {
        this.#chart.removeSeries(series);
      }
      this.#emas = names.has("ema") ? EMA_PERIODS.map((period) => this.#addEma(period)) : [];
    }
    if (names.has("rsi") !== (this.#rsi !== null)) {
      if (this.#rsi !== null) {
        this.#chart.removeSeries(this.#rsi.series); // its pane goes with it
      }
      this.#rsi = names.has("rsi") ? this.#addRsi() : null;
    }
  }

  paint(colours: Colours, precision: number): void {
    const priceFormat = { type: "price", precision, minMove: 10 ** -precision } as const;
    this.#emas.forEach(({ series }, at) => {
      series.applyOptions({ color: at === 0 ? colours.first : colours.second, priceFormat });
    });
    this.#rsi?.series.applyOptions({ color: colours.strength });
    for (const line of this.#rsi?.series.priceLines() ?? []) {
      line.applyOptions({ color: colours.faint });
    }
  }

  reset(bars: readonly Bar[]): void {
    for (const line of this.#all()) {
      line.reset(bars);
    }
  }

  update(bars: readonly Bar[]): void {
    for (const line of this.#all()) {
      line.update(bars);
    }
  }

  /** The values at a place in the bars, by name. */
  valuesAt(index: number): { emas: (number | null)[]; rsi: number | null } {
    const at = ({ series }: OverlayLine) => {
      const point = series.dataByIndex(index);
      return point !== null && "value" in point ? point.value : null;
    };
    return { emas: this.#emas.map(at), rsi: this.#rsi === null ? null : at(this.#rsi) };
  }

  #all(): OverlayLine[] {
    return this.#rsi === null ? this.#emas : [...this.#emas, this.#rsi];
  }

  #addEma(period: number): OverlayLine {
    return new OverlayLine(this.#chart.addSeries(LineSeries, QUIET), () => new Ema(period));
  }

  #addRsi(): OverlayLine {
    const priceFormat = { type: "price", precision: 1, minMove: 0.1 } as const;
    const autoscaleInfoProvider = () => ({ priceRange: { minValue: 0, maxValue: 100 } });
    const series = this.#chart.addSeries(
      LineSeries,
      { ...QUIET, lastValueVisible: true, priceFormat, autoscaleInfoProvider },
      RSI_PANE,
    );
    for (const price of RSI_BOUNDS) {
      series.createPriceLine({ price, lineWidth: 1, lineStyle: LineStyle.Dotted, axisLabelVisible: false });
    }
    series.priceScale().applyOptions({ scaleMargins: { top: 0.06, bottom: 0.06 } });
    this.#chart.panes().forEach((pane, at) => {
      pane.setStretchFactor(STRETCH[at] ?? 1);
    });
    return new OverlayLine(series, () => new Rsi(RSI_PERIOD));
  }
}
