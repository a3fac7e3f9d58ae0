// Compiled things of recent sizes: a model that takes any size keeps the last few of them.

/** Keeps the most recently used items, and disposes what falls out. */
export class Recent<Item extends { dispose(): Promise<void> }> {
  readonly #limit: number;
  readonly #items = new Map<string, Item>();

  /** @param limit - items that are kept, at least 1 */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The item that was used last. */
  get latest(): Item | undefined {
    return [...this.#items.values()].at(-1);
  }

  /** The item of this key, made when there is none; older ones make room before. */
  async get(key: string, make: () => Promise<Item>): Promise<Item> {
    const known = this.#items.get(key);
    if (known !== undefined) {
      // a Map remembers the order in which keys were added
      this.#items.delete(key);
      this.#items.set(key, known);
      return known;
    }
    for (const [oldest, item] of this.#items) {
      if (this.#items.size < this.#limit) break;
      this.#items.delete(oldest);
      await item.dispose();
    }
    const made = await make();
    this.#items.set(key, made);
    return made;
  }

  async dispose(): Promise<void> {
    const items = [...this.#items.values()];
    this.#items.clear();
    for (const item of items) await item.dispose();
  }
}
