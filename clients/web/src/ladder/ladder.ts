/**
 * The ladder of the stream itself: how much comes, how fast, how old, and whether anything is missing.
 *
 * The rules of this file:
 * - Every figure is counted from what arrived here. Nothing is estimated but the size in JSON, which is written out
 *   for a sample of the frames.
 * - What needs explaining explains itself when it is pointed at, or has the focus.
 */

import type { Stream } from "tickgate";
import { formatByteRate, formatCount, formatMilliseconds, formatPrice, NOTHING } from "../amounts.js";
import type { Gaps } from "../chart/gaps.js";
import { draw, find } from "../elements.js";
import { Cell } from "./cell.js";
import { Histogram } from "./histogram.js";

const EVERY_MS = 1_000;
const [BAR_WIDTH, BAR_HEIGHT, BAR_STEP] = [64, 5, 9];

export class Ladder {
  readonly #stream: Stream;
  readonly #gaps: Gaps;
  readonly #histogram: Histogram;
  readonly #binaryBar = draw("rect", { class: "binary", height: BAR_HEIGHT });
  readonly #jsonBar = draw("rect", { class: "json", height: BAR_HEIGHT, y: BAR_STEP });
  readonly #messages = new Cell("messages", "messages/s");
  readonly #bytes: Cell;
  readonly #age: Cell;
  readonly #trades = new Cell("trades", "trades");
  readonly #holes = new Cell("gaps", "gaps on record");
  readonly #line = new Cell("connection", "connection");

  constructor(stream: Stream, gaps: Gaps) {
    this.#stream = stream;
    this.#gaps = gaps;
    this.#histogram = new Histogram(stream.figures.ages.boundsMs);
    const box = {
      viewBox: `0 0 ${BAR_WIDTH} ${BAR_STEP + BAR_HEIGHT}`,
      "aria-hidden": "true",
      class: "sizes",
    };
    this.#bytes = new Cell("bytes", "bandwidth", draw("svg", box, this.#binaryBar, this.#jsonBar));
    this.#age = new Cell("age", "age on arrival", this.#histogram.element);
    const cells = [this.#messages, this.#bytes, this.#age, this.#trades, this.#holes, this.#line];
    find("ladder").append(...cells.map((cell) => cell.element));
    gaps.changed.on(() => this.#showGaps());
    stream.on("state", () => this.show());
    setInterval(() => this.show(), EVERY_MS);
    this.show();
  }

  show(): void {
    this.#showMessages();
    this.#showBytes();
    this.#showAge();
    this.#showTrades();
    this.#showGaps();
    this.#showLine();
  }

  #showMessages(): void {
    const { figures } = this.#stream;
    const tip =
      "Binary frames a second, over the last four. A frame holds the newest value of every symbol that changed:" +
      ` ${formatPrice(figures.frames > 0 ? figures.records / figures.frames : 0, 1)} of them on average so far.`;
    this.#messages.show(formatCount(figures.messagesPerS()), `${formatCount(figures.frames)} in all`, tip);
  }

  #showBytes(): void {
    const { figures } = this.#stream;
    const [binary, json] = [figures.bytesPerS(), figures.jsonBytesPerS()];
    const saved = figures.jsonBytes > 0 ? 1 - figures.bytes / figures.jsonBytes : 0;
    const tip =
      `What the same would take as JSON: ${formatByteRate(json)}, so the binary frames save` +
      ` ${formatPrice(100 * saved, 0)} %. Payload only, written out for a sample of the frames.` +
      ` So far ${formatCount(figures.bytes)} bytes instead of ${formatCount(figures.jsonBytes)}.`;
    this.#bytes.show(formatByteRate(binary), `JSON ${formatByteRate(json)}`, tip);
    const widest = Math.max(binary, json, 1);
    this.#binaryBar.setAttribute("width", String((BAR_WIDTH * binary) / widest));
    this.#jsonBar.setAttribute("width", String((BAR_WIDTH * json) / widest));
  }

  #showAge(): void {
    const { ages } = this.#stream.figures;
    const [half, most] = [ages.quantileMs(0.5), ages.quantileMs(0.99)];
    this.#histogram.show(ages);
    const { boundsMs } = ages;
    const span = `${formatMilliseconds(boundsMs[0])} to ${formatMilliseconds(boundsMs[boundsMs.length - 1])}`;
    const tip =
      "From when the exchange sent a price to when it was decoded here: half of the last 2,048 were younger than the" +
      ` first figure, 99 % younger than the second. Columns: the last minute, from ${span}.` +
      " It compares the exchange's clock with this device's.";
    if (half === null || most === null) {
      this.#age.show(NOTHING, "no live price yet", tip);
    } else if (half < 0) {
      this.#age.show("clocks differ", `by ${formatMilliseconds(-half)} or more`, tip, "warn");
    } else {
      this.#age.show(formatMilliseconds(half), `99 %  ${formatMilliseconds(most)}`, tip);
    }
  }

  #showTrades(): void {
    const { trades, lostTrades, unexplainedGaps } = this.#stream.figures;
    const missing = lostTrades + unexplainedGaps;
    const tip =
      "Trades of the symbols charted since the page was opened. The exchange numbers them, so one that is missing" +
      ` is noticed: ${formatCount(lostTrades)} were said to be lost, ${formatCount(unexplainedGaps)} jumps were` +
      " not explained.";
    const second = missing === 0 ? "none missing" : `${formatCount(missing)} missing`;
    this.#trades.show(formatCount(trades), second, tip, missing === 0 ? "ok" : "bad");
  }

  #showGaps(): void {
    const [open, lost, filled] = (["open", "lost", "filled"] as const).map((state) =>
      this.#gaps.count(state),
    );
    const tip =
      "Holes in the trades of the charted symbol, by the gateway's ledger. Each is a mark at the foot of the chart:" +
      ` ${lost} lost for good, ${open} still being asked for, ${filled} filled from the exchange's history.`;
    const tone = lost > 0 ? "bad" : open > 0 ? "warn" : "ok";
    this.#holes.show(formatCount(open + lost), open > 0 ? `${open} open` : `${filled} filled`, tip, tone);
  }

  #showLine(): void {
    const { reconnects, badFrames, badChecksums, conflated } = this.#stream.figures;
    const tip =
      `How often the stream was lost and opened again. Every frame's CRC is checked: ${badChecksums} were wrong,` +
      ` ${badFrames} broke the protocol in all. ${formatCount(conflated)} prices were left out because a newer` +
      " one stood for them.";
    const tone = badFrames > 0 ? "bad" : "";
    const value = `${reconnects} ${reconnects === 1 ? "reconnect" : "reconnects"}`;
    this.#line.show(value, `${badFrames} bad frames`, tip, tone);
  }
}
