/** Something that happens, and who wants to be told of it. */

export class Signal<Told extends unknown[] = []> {
  readonly #listeners = new Set<(...told: Told) => void>();

  /** Call a function each time. Returns what takes it off again. */
  on(listener: (...told: Told) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(...told: Told): void {
    for (const listener of this.#listeners) {
      listener(...told);
    }
  }
}
