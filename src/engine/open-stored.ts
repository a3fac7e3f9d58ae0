// The store that a stored model is read from, as the worker that runs it sees it.
import { fail } from "../base/errors.ts";
import type { HandedModel } from "../weights/store.ts";
import { openHandedStore, openStore } from "../weights/store.ts";
import type { WeightStore } from "../weights/weight-store.ts";

/** A database that is busy with another tab's upgrade, or whose process had an accident, may open the next time. */
const ATTEMPTS = 2;
const PAUSE_MS = 500;

/**
 * Opens the store that holds a model: what another worker has handed over, else the browser's.
 *
 * @param open - the browser's store; another in tests
 * @throws ModelError storage-unavailable when the database does not open: that is not a model that is gone, and
 * looking through all of it for damage would find nothing
 */
export async function openStored(
  handed: HandedModel | undefined,
  open: () => Promise<WeightStore> = openStore,
): Promise<WeightStore> {
  if (handed) return openHandedStore(handed);
  for (let attempt = 1; ; attempt++) {
    const store = await open();
    const { note } = store;
    if (note === undefined) return store;
    if (attempt === ATTEMPTS) throw closed(note);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

// The note goes on with what becomes of a model that is being stored; this one is.
function closed(note: string): Error {
  const [reason = note] = note.split(";");
  return fail(
    "storage-unavailable",
    `The model is stored, but the store does not open now: ${reason}. Close other tabs of this page and load again; ` +
      "nothing has to be downloaded again.",
    { reason },
  );
}
