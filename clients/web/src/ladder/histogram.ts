/** How old prices were when they arrived in the last minute: one column for each span of ages. */

import type { Ages } from "tickgate";
import { formatCount, formatMilliseconds } from "../amounts.js";
import { draw } from "../elements.js";

const SECONDS = 60;
const [COLUMN, GAP, HEIGHT] = [7, 1, 26];
/** A column that is not empty is seen. */
const LEAST = 1.5;

export class Histogram {
  readonly element: SVGSVGElement;
  readonly #columns: SVGRectElement[];
  readonly #bounds: readonly number[];
  /** The counts at each of the last seconds, the oldest first. */
  #past: (readonly number[])[] = [];

  constructor(boundsMs: readonly number[]) {
    this.#bounds = boundsMs;
    this.#columns = Array.from({ length: boundsMs.length + 1 }, (_, at) =>
      draw("rect", { x: at * (COLUMN + GAP), width: COLUMN, y: HEIGHT, height: 0 }),
    );
    const width = this.#columns.length * (COLUMN + GAP) - GAP;
    const foot = draw("line", { x1: 0, x2: width, y1: HEIGHT + 0.5, y2: HEIGHT + 0.5 });
    const box = { viewBox: `0 0 ${width} ${HEIGHT + 1}`, role: "img", class: "histogram" };
    this.element = draw("svg", box, ...this.#columns, foot);
  }

  /** Once a second. */
  show({ counts }: Ages): void {
    this.#past = [...this.#past.slice(-SECONDS), [...counts]];
    const recent = counts.map((count, at) => count - this.#past[0][at]);
    const most = Math.max(...recent, 1);
    recent.forEach((count, at) => {
      const height = count === 0 ? 0 : Math.max(LEAST, (HEIGHT * count) / most);
      this.#columns[at].setAttribute("y", String(HEIGHT - height));
      this.#columns[at].setAttribute("height", String(height));
    });
    this.element.setAttribute("aria-label", this.#inWords(recent));
  }

  #inWords(recent: number[]): string {
    const total = recent.reduce((sum, count) => sum + count, 0);
    if (total === 0) {
      return "No live price has arrived in the last minute.";
    }
    const top = recent.indexOf(Math.max(...recent));
    const bound = this.#bounds[top];
    const span = bound === undefined ? "above all bounds" : `below ${formatMilliseconds(bound)}`;
    return `Ages of ${formatCount(total)} prices of the last minute; most of them ${span}.`;
  }
}
