/** The marks of gaps: short strips at the foot of the chart, under the bars that were touched. */

import type {
  IChartApiBase,
  IPrimitivePaneRenderer,
  IPrimitivePaneView,
  ISeriesPrimitive,
  Logical,
  SeriesAttachedParameter,
  Time,
} from "lightweight-charts";
import type { Colours } from "./colours.js";

const HEIGHT_PX = 3;
const LEAST_WIDTH_PX = 4;

export interface GapMark {
  /** Places of bars. */
  first: number;
  last: number;
  colour: keyof Pick<Colours, "soft" | "warn" | "down">;
}

type Target = Parameters<IPrimitivePaneRenderer["draw"]>[0];

export class GapMarks implements ISeriesPrimitive<Time> {
  #chart: IChartApiBase<Time> | null = null;
  #requestUpdate: () => void = () => {};
  #marks: readonly GapMark[] = [];
  #colours: Colours | null = null;
  readonly #views: readonly IPrimitivePaneView[] = [
    { zOrder: () => "top", renderer: () => ({ draw: (target) => this.#draw(target) }) },
  ];

  attached({ chart, requestUpdate }: SeriesAttachedParameter<Time>): void {
    this.#chart = chart;
    this.#requestUpdate = requestUpdate;
  }

  detached(): void {
    this.#chart = null;
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return this.#views;
  }

  show(marks: readonly GapMark[], colours: Colours): void {
    this.#marks = marks;
    this.#colours = colours;
    this.#requestUpdate();
  }

  #draw(target: Target): void {
    const [chart, colours] = [this.#chart, this.#colours];
    if (chart === null || colours === null) {
      return;
    }
    const scale = chart.timeScale();
    const half = scale.options().barSpacing / 2;
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      for (const { first, last, colour } of this.#marks) {
        const [from, to] = [first, last].map((at) => scale.logicalToCoordinate(at as Logical));
        if (from !== null && to !== null) {
          const width = Math.max(LEAST_WIDTH_PX, to - from + 2 * half);
          context.fillStyle = colours[colour];
          context.fillRect((from + to - width) / 2, mediaSize.height - HEIGHT_PX, width, HEIGHT_PX);
        }
      }
    });
  }
}
