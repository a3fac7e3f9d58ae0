// The loader worker of the page: one for all who use it at the same time, none when nobody does.
import { abortable } from "../base/abort.ts";
import type { Loader } from "../engine/loader.ts";
import { WorkerHandle } from "./worker-handle.ts";

interface SharedLoader {
  readonly handle: Promise<WorkerHandle<Loader>>;
  users: number;
}

// By the factory that starts it: pages with workers of their own have loaders of their own.
const loaders = new Map<() => Worker, SharedLoader>();

/**
 * Lends the loader worker. Two who load at the same time share it, and so one download.
 *
 * @throws what `use` throws; what starting the worker throws; the signal's reason
 */
export async function withLoader<T>(
  spawn: () => Worker,
  use: (loader: WorkerHandle<Loader>) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const loader = loaders.get(spawn) ?? startLoader(spawn);
  loader.users += 1;
  try {
    return await use(await (signal ? abortable(loader.handle, signal) : loader.handle));
  } finally {
    loader.users -= 1;
    if (loader.users === 0) endLoader(spawn, loader);
  }
}

function startLoader(spawn: () => Worker): SharedLoader {
  const kind = {
    name: "loader",
    spawn,
    deathCode: "storage-unavailable",
    advice: " Load the model again.",
  } as const;
  const loader: SharedLoader = { handle: WorkerHandle.start<Loader>(kind), users: 0 };
  loaders.set(spawn, loader);
  return loader;
}

function endLoader(spawn: () => Worker, { handle }: SharedLoader): void {
  loaders.delete(spawn);
  // One that did not start has ended itself.
  handle.then(
    (started) => started.end(new DOMException("Nobody uses the loader.", "AbortError")),
    () => undefined,
  );
}
