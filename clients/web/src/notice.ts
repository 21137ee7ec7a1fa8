/** One line that says what has just happened, for a few seconds; it may hold what takes it back. */

import { find } from "./elements.js";

const SHOWN_MS = 6_000;
let hiding = 0;

export function notify(text: string, action?: HTMLButtonElement): void {
  const place = find("notice");
  clearTimeout(hiding);
  place.replaceChildren(text, ...(action ? [" ", action] : []));
  place.hidden = false;
  const hide = () => {
    place.hidden = true;
  };
  action?.addEventListener("click", hide);
  hiding = window.setTimeout(hide, SHOWN_MS);
}
