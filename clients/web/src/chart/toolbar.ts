/** The intervals and switches above the chart. */

import { INTERVAL_NAMES } from "tickgate";
import { button, find, make, write } from "../elements.js";
import { read, remember } from "../preferences.js";
import { Signal } from "../signal.js";
import { offsetName } from "./zone.js";

const DIGITS = 9;
const INDICATORS = [
  ["ema", "EMA", "e", "Exponential moving averages of 20 and 50 bars"],
  ["rsi", "RSI", "r", "Relative strength index of 14 bars, after Wilder"],
  [
    "enigma",
    "Enigma",
    "g",
    "Where the price stands between its all-time low and high, with Fibonacci's lines",
  ],
] as const;

export class Toolbar {
  /** Another interval was chosen. */
  readonly chosen = new Signal<[interval: string]>();
  /** Something else is to be seen: a line, a zone, a scale. */
  readonly changed = new Signal();
  readonly #intervals = new Map<string, HTMLButtonElement>();
  readonly #indicators = new Map<string, HTMLButtonElement>();
  readonly #logarithmic = button("Log", () => this.toggleLogarithmic(), {
    title: "Logarithmic price scale (l)",
    "aria-keyshortcuts": "l",
  });
  readonly #zone = button("", () => this.toggleZone(), { "aria-keyshortcuts": "z" });

  constructor() {
    INTERVAL_NAMES.forEach((name, at) => {
      const key =
        at < DIGITS ? { title: `${name} (${at + 1})`, "aria-keyshortcuts": at + 1 } : { title: name };
      this.#intervals.set(
        name,
        button(name, () => this.chosen.tell(name), key),
      );
    });
    for (const [name, label, key, title] of INDICATORS) {
      const toggle = () => this.toggleIndicator(name);
      this.#indicators.set(
        name,
        button(label, toggle, { title: `${title} (${key})`, "aria-keyshortcuts": key }),
      );
    }
    find("intervals").append(...this.#intervals.values());
    find("switches").append(
      ...this.#indicators.values(),
      make("span", { class: "space" }),
      this.#logarithmic,
      this.#zone,
    );
    this.show();
  }

  toggleIndicator(name: string): void {
    const names = read("indicators");
    const isOn = names.includes(name);
    this.#set("indicators", isOn ? names.filter((one) => one !== name) : [...names, name]);
  }

  toggleLogarithmic(): void {
    this.#set("isLogarithmic", !read("isLogarithmic"));
  }

  toggleZone(): void {
    this.#set("zone", read("zone") === "UTC" ? "local" : "UTC");
  }

  /** Choose an interval by its place: 0 is the shortest. */
  choose(place: number): void {
    const name = INTERVAL_NAMES[place];
    if (name !== undefined) {
      this.chosen.tell(name);
    }
  }

  /** Choose the interval so many places longer. */
  step(by: number): void {
    const names: readonly string[] = INTERVAL_NAMES;
    this.choose(names.indexOf(read("interval")) + by);
  }

  show(): void {
    for (const [name, { ariaPressed }] of this.#intervals) {
      const isOn = String(name === read("interval"));
      if (ariaPressed !== isOn) {
        this.#intervals.get(name)!.ariaPressed = isOn;
      }
    }
    this.#intervals.get(read("interval"))?.scrollIntoView({ block: "nearest", inline: "nearest" });
    for (const [name, element] of this.#indicators) {
      element.ariaPressed = String(read("indicators").includes(name));
    }
    this.#logarithmic.ariaPressed = String(read("isLogarithmic"));
    const [here, isLocal] = [offsetName(Date.now()), read("zone") === "local"];
    write(this.#zone, isLocal ? (here === "UTC" ? "Local" : here) : "UTC");
    this.#zone.title = `Times are ${isLocal ? `those of this place (${here})` : "UTC"}; days are always UTC's (z)`;
  }

  #set(...[name, value]: Parameters<typeof remember>): void {
    remember(name, value);
    this.show();
    this.changed.tell();
  }
}
