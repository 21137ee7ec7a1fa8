/** On a phone one part of the page is seen at a time: the list, the chart, or the stream. */

import { find } from "./elements.js";

export type View = "list" | "chart" | "stream";
const VIEWS: readonly View[] = ["list", "chart", "stream"];

/** Show a part. Where there is room all of them are seen anyway. */
export function chooseView(view: View): void {
  document.body.dataset.view = view;
  for (const one of VIEWS) {
    find(`view-${one}`).setAttribute("aria-pressed", String(one === view));
  }
}

export function watchViews(): void {
  for (const view of VIEWS) {
    find(`view-${view}`).addEventListener("click", () => chooseView(view));
  }
  chooseView("list");
}
