// The largest JavaScript heap of a page and its workers together, array buffers included, sampled while it works.

const SAMPLE_EVERY_MS = 100;

/**
 * @param {import("playwright").Page} page
 * @returns {Promise<() => Promise<number>>} ends the sampling and gives the peak in bytes
 */
export async function startHeapMeter(page) {
  const session = await page.context().newCDPSession(page);
  /** @type {Set<string>} */
  const workers = new Set();
  let nextId = 1;
  /** @type {Map<number, (bytes: number) => void>} */
  const waiting = new Map();
  session.on("Target.attachedToTarget", ({ sessionId }) => workers.add(sessionId));
  session.on("Target.detachedFromTarget", ({ sessionId }) => workers.delete(sessionId));
  session.on("Target.receivedMessageFromTarget", ({ message }) => {
    const { id, result } = JSON.parse(message);
    waiting.get(id)?.(sizeOf(result));
    waiting.delete(id);
  });
  await session.send("Target.setAutoAttach", {
    autoAttach: true,
    waitForDebuggerOnStart: false,
    flatten: false,
  });

  /** @param {string} sessionId - a worker that is blocked or gone does not answer: it counts as before, 0 */
  const heapOfWorker = (sessionId) =>
    new Promise((/** @type {(bytes: number) => void} */ resolve) => {
      const id = nextId++;
      waiting.set(id, resolve);
      setTimeout(() => resolve(0), SAMPLE_EVERY_MS * 5);
      const message = JSON.stringify({ id, method: "Runtime.getHeapUsage" });
      session.send("Target.sendMessageToTarget", { sessionId, message }).catch(() => resolve(0));
    });

  let peak = 0;
  const stop = new AbortController();
  const sampling = (async () => {
    while (!stop.signal.aborted) {
      const own = session.send("Runtime.getHeapUsage").then(sizeOf, () => 0);
      const all = await Promise.all([own, ...[...workers].map(heapOfWorker)]);
      peak = Math.max(
        peak,
        all.reduce((sum, bytes) => sum + bytes, 0),
      );
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_EVERY_MS));
    }
  })();
  return async () => {
    stop.abort();
    await sampling;
    return peak;
  };
}

/** @param {{ usedSize?: number, backingStorageSize?: number } | undefined} usage */
function sizeOf(usage) {
  return (usage?.usedSize ?? 0) + (usage?.backingStorageSize ?? 0);
}
