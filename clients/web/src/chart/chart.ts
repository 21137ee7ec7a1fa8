/**
 * The chart of one symbol in one interval: history and live bars as one series, and what is drawn over it.
 *
 * The rules of this file:
 * - Bars come from `BarSeries` and nowhere else: it joins history and stream without a seam, and mends the series
 *   after a reconnect by itself.
 * - Scrolling to the left loads older bars before they come into sight, up to the first one there is.
 * - What was shown stays until what follows is here; if that takes long, it is dimmed.
 */

import type { LogicalRange } from "lightweight-charts";
import { type Bar, BarSeries, type EnigmaUpdate, HistoryError, type SymbolEntry } from "tickgate";
import { fullName } from "tickgate/symbols";
import { find } from "../elements.js";
import type { Gateway } from "../gateway.js";
import { read } from "../preferences.js";
import { Signal } from "../signal.js";
import { plainName } from "../watchlist/row.js";
import { Canvas, RIGHT_BARS } from "./canvas.js";
import { EnigmaLines } from "./enigma.js";
import { type GapMark, GapMarks } from "./gap_marks.js";
import { type Gap, type Gaps, reachOf } from "./gaps.js";
import { ChartNote } from "./note.js";
import { Overlays } from "./overlays.js";
import { isByDay, zoneOf } from "./zone.js";

const FIRST_PAGE = 600;
const PAGE = 1_500;
/** Older bars are asked for when so few are left of the first one in sight. */
const AHEAD = 400;
const PAUSE_MS = 3_000;
const MARK_COLOUR = { filled: "soft", open: "warn", lost: "down" } as const;

export class PriceChart {
  /** Something that is written about the chart may read differently now. */
  readonly changed = new Signal();
  /** The bar at the crosshair, as a place in the bars; null: no bar. */
  pointedAt: number | null = null;
  enigma: EnigmaUpdate | null = null;
  entry: SymbolEntry | null = null;
  readonly overlays: Overlays;
  readonly canvas: Canvas;
  readonly #gateway: Gateway;
  readonly #gaps: Gaps;
  readonly #enigmaLines: EnigmaLines;
  readonly #gapMarks = new GapMarks();
  readonly #note = new ChartNote();
  readonly #toLive = find<HTMLButtonElement>("to-live");
  #series: BarSeries | null = null;
  /** What could not be loaded: it is tried again as soon as the gateway is heard. */
  #failed: BarSeries | null = null;
  #choice: ReadonlySet<string> = new Set();
  #isWaiting = false;

  constructor(gateway: Gateway, gaps: Gaps) {
    this.#gateway = gateway;
    this.#gaps = gaps;
    this.canvas = new Canvas(find("chart"));
    this.overlays = new Overlays(this.canvas.chart);
    this.#enigmaLines = new EnigmaLines(this.canvas.candles);
    this.canvas.candles.attachPrimitive(this.#gapMarks);
    const scale = this.canvas.chart.timeScale();
    scale.subscribeVisibleLogicalRangeChange((range) => this.#onRange(range));
    this.canvas.chart.subscribeCrosshairMove(({ logical, point }) => {
      const isBar = point !== undefined && logical !== undefined && this.bars[logical] !== undefined;
      this.pointedAt = isBar ? logical : null;
      this.changed.tell();
    });
    this.#toLive.addEventListener("click", () => this.goLive());
    gaps.changed.on(() => this.#markGaps());
    gateway.stream.on("enigma", (update) => this.#onEnigma(update));
    gateway.stream.on("price", ({ entry }) => this.entry === null && this.#meet(entry));
    gateway.stream.on("state", ({ state }) => {
      if (state.name === "live" && this.#failed !== null && this.#failed === this.#series) {
        this.#load(this.#failed);
      }
    });
  }

  get symbol(): string {
    return this.#series?.symbol ?? "";
  }

  get interval(): string {
    return this.#series?.interval ?? "";
  }

  get bars(): readonly Bar[] {
    return this.#series?.bars ?? [];
  }

  get showsEnigma(): boolean {
    return this.#choice.has("enigma");
  }

  /** Show a symbol in an interval. */
  async show(symbol: string, interval: string): Promise<void> {
    if (symbol !== this.symbol) {
      this.entry = this.enigma = null;
    }
    this.#series?.close();
    const series = new BarSeries(this.#gateway.history, this.#gateway.live, symbol, interval);
    this.#series = series;
    this.pointedAt = null;
    for (const entry of this.#gateway.stream.dictionary.values()) {
      this.#meet(entry);
    }
    let isFirst = true;
    series.on("reset", () => {
      this.#draw();
      if (isFirst) {
        find("chart").setAttribute("aria-label", `Candles of ${plainName(fullName(symbol))}, ${interval}`);
        this.goLive();
        isFirst = false;
      }
    });
    series.on("update", (bar, isOlder) => this.#onUpdate(bar, isOlder));
    series.on("error", (error) => this.#fail(series, error));
    await this.#load(series);
  }

  goLive(): void {
    this.canvas.chart.timeScale().scrollToPosition(RIGHT_BARS, false);
  }

  /** Scroll by so many bars, to the past if it is below zero. */
  scroll(bars: number): void {
    const scale = this.canvas.chart.timeScale();
    scale.scrollToPosition(Math.min(scale.scrollPosition() + bars, RIGHT_BARS), false);
  }

  /** Show what is preferred: zone, scale, lines, colours. */
  prefer(): void {
    this.canvas.setLogarithmic(read("isLogarithmic"));
    this.#choice = new Set(read("indicators"));
    this.overlays.choose(this.#choice);
    this.canvas.paint();
    this.#draw();
  }

  async #load(series: BarSeries): Promise<void> {
    this.#failed = null;
    this.#note.begin(series.symbol);
    try {
      await series.load(FIRST_PAGE);
      if (series === this.#series) {
        this.#note.end();
      }
    } catch (error) {
      this.#fail(series, error);
    }
  }

  #fail(series: BarSeries, error: unknown): void {
    if (series === this.#series) {
      this.#failed = series;
      this.#draw();
      const reason = error instanceof HistoryError ? error.reason : String(error);
      this.#note.fail(series.symbol, reason, () => this.#load(series));
    }
  }

  #draw(): void {
    const interval = this.interval || "1m";
    const zone = zoneOf(interval, read("zone"));
    this.canvas.setZone(zone, isByDay(interval));
    if (this.entry !== null) {
      this.canvas.setPrecision(this.entry.price_precision);
      this.canvas.setSimulated(this.entry.simulated);
    }
    this.canvas.setBars(this.bars);
    this.overlays.paint(this.canvas.colours, this.canvas.precision);
    this.overlays.reset(this.bars);
    this.#drawEnigma();
    this.#markGaps();
  }

  #onUpdate(bar: Bar, isOlder: boolean): void {
    this.canvas.updateBar(bar, isOlder);
    if (isOlder) {
      this.overlays.reset(this.bars);
    } else {
      this.overlays.update(this.bars);
    }
    this.changed.tell();
  }

  /** The dictionary says how precise the prices of this symbol are. */
  #meet(entry: SymbolEntry): void {
    if (this.entry === null && fullName(entry.name) === fullName(this.symbol)) {
      this.entry = entry;
      this.#draw();
    }
  }

  #onEnigma(update: EnigmaUpdate): void {
    if (fullName(update.entry.name) === fullName(this.symbol)) {
      this.enigma = update;
      this.#drawEnigma();
      this.changed.tell();
    }
  }

  #drawEnigma(): void {
    this.#enigmaLines.show(this.showsEnigma ? this.enigma : null, this.canvas.colours);
  }

  /** The gaps that touched a bar. */
  gapsAt(index: number): Gap[] {
    return this.#gaps.all.filter((gap) => {
      const reach = reachOf(gap, this.bars);
      return reach !== null && reach[0] <= index && index <= reach[1];
    });
  }

  #markGaps(): void {
    const marks = this.#gaps.all.flatMap((gap): GapMark[] => {
      const reach = reachOf(gap, this.bars);
      return reach === null ? [] : [{ first: reach[0], last: reach[1], colour: MARK_COLOUR[gap.state] }];
    });
    this.#gapMarks.show(marks, this.canvas.colours);
    this.changed.tell();
  }

  #onRange(range: LogicalRange | null): void {
    const series = this.#series;
    if (range === null || series === null || series.bars.length === 0) {
      return;
    }
    this.#toLive.hidden = range.to >= series.bars.length - 1;
    find("beginning").hidden = !(series.isWhole && range.from < 0);
    if (range.from < AHEAD && !series.isWhole && !this.#isWaiting) {
      series.loadOlder(PAGE).catch(() => {
        // It is asked again while somebody looks there.
        this.#isWaiting = true;
        setTimeout(() => {
          this.#isWaiting = false;
          this.#onRange(this.canvas.chart.timeScale().getVisibleLogicalRange());
        }, PAUSE_MS);
      });
    }
  }
}
