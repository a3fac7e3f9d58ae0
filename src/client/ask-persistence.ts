// Asks the browser not to clear this origin by itself. Some browsers ask the user in turn, so it is done when there
// is something to keep, once; nothing waits for the answer, which `model.info.storage` tells once it is there.

let isAsked = false;
let isGranted = false;

/** Asks, the first time that it is called on a page. Harmless where a page may not ask. */
export function askPersistence(): void {
  if (isAsked) return;
  isAsked = true;
  // Typed as always there; absent on pages that are not secure.
  const storage: Partial<StorageManager> | undefined = globalThis.navigator?.storage;
  const ask = async (): Promise<void> => {
    isGranted = (await storage?.persist?.()) === true;
  };
  void ask().catch(() => undefined);
}

/** Whether the browser has said yes to {@link askPersistence} by now. */
export function isPersistenceGranted(): boolean {
  return isGranted;
}
