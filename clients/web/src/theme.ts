/** Dark and light: as the system has it, unless it was chosen. */

import { find, write } from "./elements.js";
import { onChanged, type Preferences, read, remember } from "./preferences.js";
import { Signal } from "./signal.js";

const ORDER: readonly Preferences["theme"][] = ["system", "dark", "light"];
const system = matchMedia("(prefers-color-scheme: light)");

export class Theme {
  readonly changed = new Signal();
  readonly #button = find("theme");

  constructor() {
    this.#button.addEventListener("click", () => this.next());
    system.addEventListener("change", () => this.#apply());
    onChanged("theme", () => this.#apply());
    this.#apply();
  }

  next(): void {
    const at = ORDER.indexOf(read("theme"));
    remember("theme", ORDER[(at + 1) % ORDER.length]);
    this.#apply();
  }

  #apply(): void {
    const chosen = read("theme");
    const isLight = chosen === "system" ? system.matches : chosen === "light";
    document.documentElement.dataset.theme = isLight ? "light" : "dark";
    write(this.#button, { system: "Auto", dark: "Dark", light: "Light" }[chosen] ?? "Auto");
    this.changed.tell();
  }
}
