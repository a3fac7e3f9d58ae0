// The two workers of the library by their addresses. Bundlers find them by this exact form of `new Worker`.

/**
 * Starts the library's workers in another way: a page that gets the library from another origin has to make
 * them from its own, since browsers do not run a worker script of another origin.
 */
export interface WorkerFactories {
  /** Computes: default `workers/engine` as a module worker. */
  readonly engine?: () => Worker;
  /** Downloads and stores: default `workers/loader` as a module worker. */
  readonly loader?: () => Worker;
}

/** Starts the worker that computes. */
export function spawnEngine(): Worker {
  return new Worker(new URL("../../workers/engine.ts", import.meta.url), {
    type: "module",
    name: "web-umm-engine",
  });
}

/** Starts the worker that downloads and stores. */
export function spawnLoader(): Worker {
  return new Worker(new URL("../../workers/loader.ts", import.meta.url), {
    type: "module",
    name: "web-umm-loader",
  });
}
