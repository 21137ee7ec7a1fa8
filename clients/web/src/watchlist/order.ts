/**
 * Rows that can be dragged to another place: with a mouse anywhere on the row, with a finger by its grip, so that
 * the list can still be scrolled.
 *
 * While it is dragged the row follows the pointer and the others make way; nothing is moved in the document before
 * it is let go. Escape, or anything that takes the pointer away, leaves everything as it was.
 */

const THRESHOLD_PX = 5;
const EDGE_PX = 28;
const SCROLL_PX = 8;

interface Drag {
  row: HTMLElement;
  rows: HTMLElement[];
  from: number;
  to: number;
  startY: number;
  startScroll: number;
  height: number;
  hasMoved: boolean;
}

/** Let the rows of a scrolling list be dragged; `onMove` is told which went where. */
export function makeOrderable(list: HTMLElement, onMove: (name: string, place: number) => void): void {
  let drag: Drag | null = null;
  let hasJustEnded = false;

  const end = (isDone: boolean) => {
    const ended = drag;
    drag = null;
    if (ended?.hasMoved) {
      release(ended);
      if (isDone && ended.to !== ended.from) {
        onMove(ended.row.dataset.symbol ?? "", ended.to);
      }
    }
  };
  list.addEventListener("pointerdown", (event) => {
    hasJustEnded = false;
    drag = begin(list, event);
  });
  list.addEventListener("pointermove", (event) => {
    if (drag !== null && (drag.hasMoved || Math.abs(event.clientY - drag.startY) > THRESHOLD_PX)) {
      if (!drag.hasMoved) {
        drag.hasMoved = true;
        list.setPointerCapture(event.pointerId);
        drag.row.dataset.dragged = "";
      }
      follow(list, drag, event.clientY);
    }
  });
  list.addEventListener("pointerup", () => {
    hasJustEnded = drag?.hasMoved ?? false;
    end(true);
  });
  // The click that follows is the end of the drag, and chooses nothing.
  list.addEventListener("click", (event) => hasJustEnded && event.stopImmediatePropagation(), true);
  list.addEventListener("pointercancel", () => end(false));
  addEventListener("keydown", ({ key }) => key === "Escape" && end(false));
}

function begin(list: HTMLElement, event: PointerEvent): Drag | null {
  const target = event.target as Element;
  const row = target.closest<HTMLElement>(".row");
  const isMeant = event.pointerType === "mouse" ? event.button === 0 : target.closest(".grip") !== null;
  if (row === null || !isMeant || target.closest("button") !== null) {
    return null;
  }
  const rows = [...list.children] as HTMLElement[];
  const from = rows.indexOf(row);
  const { scrollTop: startScroll } = scroller(list);
  const height = row.offsetHeight;
  return { row, rows, from, to: from, startY: event.clientY, startScroll, height, hasMoved: false };
}

function follow(list: HTMLElement, drag: Drag, y: number): void {
  const view = scroller(list);
  const { top, bottom } = view.getBoundingClientRect();
  view.scrollTop += y < top + EDGE_PX ? -SCROLL_PX : y > bottom - EDGE_PX ? SCROLL_PX : 0;
  const by = y - drag.startY + view.scrollTop - drag.startScroll;
  const last = drag.rows.length - 1;
  drag.to = Math.max(0, Math.min(last, drag.from + Math.round(by / drag.height)));
  drag.row.style.transform = `translateY(${by}px)`;
  drag.rows.forEach((row, at) => {
    if (row !== drag.row) {
      const isBelow = at > drag.from && at <= drag.to;
      const isAbove = at < drag.from && at >= drag.to;
      const shift = isBelow ? -drag.height : isAbove ? drag.height : 0;
      row.style.transform = shift ? `translateY(${shift}px)` : "";
    }
  });
}

function release(drag: Drag): void {
  delete drag.row.dataset.dragged;
  for (const row of drag.rows) {
    row.style.transform = "";
  }
}

function scroller(list: HTMLElement): HTMLElement {
  return list.closest<HTMLElement>(".scroll") ?? list;
}
