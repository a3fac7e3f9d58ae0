// Asks the browser not to clear this origin by itself. Some browsers ask the user in turn, so it is done when there
// is something to keep, once; nothing waits for the answer, which `model.info.storage` tells.

let isAsked = false;

/** Asks, the first time that it is called on a page. Harmless where a page may not ask. */
export function askPersistence(): void {
  if (isAsked) return;
  isAsked = true;
  // Typed as always there; absent on pages that are not secure.
  const storage: Partial<StorageManager> | undefined = globalThis.navigator?.storage;
  const ask = async (): Promise<unknown> => storage?.persist?.();
  void ask().catch(() => undefined);
}
