/** The chart as a drawing: its scales, its candles and volumes, and how they look. What it shows is `chart.ts`. */

import {
  CandlestickSeries,
  ColorType,
  CrosshairMode,
  createChartEx,
  createTextWatermark,
  type DeepPartial,
  HistogramSeries,
  type IChartApiBase,
  type ISeriesApi,
  LineStyle,
  PriceScaleMode,
  type TickMarkType,
  type Time,
  type TimeScaleOptions,
  type UTCTimestamp,
} from "lightweight-charts";
import type { Bar } from "tickgate";
import { formatCompact, formatPrice } from "../amounts.js";
import { type Colours, readColours } from "./colours.js";
import { formatMark, formatTime, timeMsOf, type Zone, ZonedScale } from "./zone.js";

/** How much of the height belongs to the volumes. */
const VOLUME_TOP = 0.84;
const MARGINS = { top: 0.1, bottom: 0.2 };
const BAR_SPACING_PX = 7;
export const RIGHT_BARS = 6;
const AXIS_LEAST_PX = 76;

export class Canvas {
  readonly chart: IChartApiBase<Time>;
  readonly candles: ISeriesApi<"Candlestick", Time>;
  readonly volumes: ISeriesApi<"Histogram", Time>;
  colours: Colours = readColours();
  #precision = 2;
  #isByDay = false;
  readonly scale = new ZonedScale();
  readonly #watermark: ReturnType<typeof createTextWatermark<Time>>;

  constructor(container: HTMLElement) {
    this.chart = createChartEx<Time, ZonedScale>(container, this.scale, {
      autoSize: true,
      // The link to its makers is on the page itself: the library's own needs a style that a strict policy forbids.
      layout: { attributionLogo: false, panes: { enableResize: true } },
      crosshair: { mode: CrosshairMode.Normal },
      rightPriceScale: { scaleMargins: MARGINS, borderVisible: false, minimumWidth: AXIS_LEAST_PX },
      timeScale: {
        borderVisible: false,
        rightOffset: RIGHT_BARS,
        barSpacing: BAR_SPACING_PX,
        minBarSpacing: 0.5,
        timeVisible: true,
        secondsVisible: false,
        tickMarkFormatter: (time: Time, type: TickMarkType) => formatMark(this.zone, timeMsOf(time), type),
      } as DeepPartial<TimeScaleOptions>,
      localization: {
        timeFormatter: (time: Time) => formatTime(this.zone, timeMsOf(time), this.#isByDay),
      },
    });
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "custom", formatter: formatCompact, minMove: 1e-8 },
      priceLineVisible: false,
      lastValueVisible: false,
    });
    this.volumes.priceScale().applyOptions({ scaleMargins: { top: VOLUME_TOP, bottom: 0 } });
    this.candles = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.#watermark = createTextWatermark(this.chart.panes()[0], { visible: false });
    this.paint();
  }

  get zone(): Zone {
    return this.scale.zone;
  }

  /** Take another zone; the bars have to be set anew after that. */
  setZone(zone: Zone, isByDay: boolean): void {
    this.scale.zone = zone;
    this.#isByDay = isByDay;
  }

  setPrecision(precision: number): void {
    this.#precision = precision;
    const formatter = (price: number) => formatPrice(price, precision);
    this.candles.applyOptions({ priceFormat: { type: "custom", formatter, minMove: 10 ** -precision } });
  }

  get precision(): number {
    return this.#precision;
  }

  setLogarithmic(isLogarithmic: boolean): void {
    const mode = isLogarithmic ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal;
    this.chart.priceScale("right").applyOptions({ mode });
  }

  /** Say across the chart that its prices are of a simulated exchange. */
  setSimulated(isSimulated: boolean): void {
    const { watermark: color, font: fontFamily } = this.colours;
    const line = { text: "SIMULATED", color, fontSize: 44, fontFamily, fontStyle: "600" };
    this.#watermark.applyOptions({ visible: isSimulated, lines: [line] });
  }

  setBars(bars: readonly Bar[]): void {
    this.candles.setData(bars.map(candleOf));
    this.volumes.setData(bars.map((bar) => this.#volumeOf(bar)));
  }

  updateBar(bar: Bar, isOlder: boolean): void {
    this.candles.update(candleOf(bar), isOlder);
    this.volumes.update(this.#volumeOf(bar), isOlder);
  }

  /** Take on the colours that hold now; the bars have to be set anew after that. */
  paint(): void {
    this.colours = readColours();
    const { paper, soft, grid, line, up, down, faint, text, font } = this.colours;
    const crosshair = {
      color: faint,
      labelBackgroundColor: line,
      style: LineStyle.Dashed,
      width: 1,
    } as const;
    this.chart.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: paper },
        textColor: soft,
        fontFamily: font,
        fontSize: 11,
        panes: { separatorColor: line, separatorHoverColor: grid },
      },
      grid: { vertLines: { color: grid }, horzLines: { color: grid } },
      crosshair: { vertLine: crosshair, horzLine: crosshair },
    });
    this.candles.applyOptions({
      upColor: up,
      downColor: down,
      wickUpColor: up,
      wickDownColor: down,
      priceLineColor: text,
      priceLineStyle: LineStyle.Dotted,
    });
  }

  #volumeOf({ time, open, close, volume }: Bar) {
    const color = close < open ? this.colours.downVolume : this.colours.upVolume;
    return { time: time as UTCTimestamp, value: volume, color };
  }
}

function candleOf({ time, open, high, low, close }: Bar) {
  return { time: time as UTCTimestamp, open, high, low, close };
}
