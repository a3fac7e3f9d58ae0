// The edges of a worker boundary, installed on both sides: errors keep their class and code, an AbortSignal
// stays connected, events flow back in order, large arrays move instead of being copied. Knows comlink;
// knows nothing about models or what the calls mean. comlink never rejects when a worker dies: client/
// worker-handle.ts takes care of that.
import { releaseProxy, transfer, transferHandlers } from "comlink";
import type { TransferHandler } from "comlink";
import { assert } from "./assert.ts";
import { decodeError, encodeError } from "./wire-errors.ts";
import type { ErrorRecord } from "./wire-errors.ts";

/** What comlink passes to the handler of thrown values. */
interface Thrown {
  readonly value: unknown;
}

/** How a thrown value crosses: comlink's own fields, with more fields in the record of an error. */
type ThrownData =
  | { readonly isError: true; readonly value: ErrorRecord | StockRecord }
  | { readonly isError: false; readonly value: unknown };

/** An error from a worker of the application, which has comlink's own handler. */
interface StockRecord {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
}

const SIGNAL = "web-umm.signal";

/** Teaches comlink our errors and AbortSignal. Call once on each side; again is harmless. */
export function installWire(): void {
  if (transferHandlers.has(SIGNAL)) return;
  const stock = transferHandlers.get("throw");
  assert(stock, "comlink has a handler of thrown values");
  transferHandlers.set(
    "throw",
    throwHandler((value) => stock.canHandle(value)),
  );
  transferHandlers.set(SIGNAL, signalHandler);
}

function throwHandler(isThrown: (value: unknown) => boolean): TransferHandler<Thrown, ThrownData> {
  return {
    canHandle: (value): value is Thrown => isThrown(value),
    serialize: ({ value }) =>
      value instanceof Error
        ? [{ isError: true, value: encodeError(value) }, []]
        : [{ isError: false, value }, []],
    deserialize({ isError, value }) {
      if (!isError) throw value;
      throw decodeError("kind" in value ? value : { kind: "Error", ...value });
    },
  };
}

// This side's ends of the ports that carry "aborted" to the other thread, by signal.
const ports = new WeakMap<AbortSignal, MessagePort[]>();

// null: the signal was aborted already. The reason stays here: the caller gets its own object back.
const signalHandler: TransferHandler<AbortSignal, MessagePort | null> = {
  canHandle: (value): value is AbortSignal => value instanceof AbortSignal,
  serialize(signal) {
    if (signal.aborted) return [null, []];
    const { port1, port2 } = new MessageChannel();
    signal.addEventListener("abort", () => port1.postMessage("abort"), { once: true });
    ports.set(signal, [...(ports.get(signal) ?? []), port1]);
    return [port2, [port2]];
  },
  deserialize(port) {
    if (port === null) return AbortSignal.abort();
    const controller = new AbortController();
    port.addEventListener("message", () => {
      controller.abort();
      port.close();
    });
    port.start();
    return controller.signal;
  },
};

/** Disconnects a signal from its copies on other threads. For signals made for one call that is over. */
export function releaseSignal(signal: AbortSignal): void {
  for (const port of ports.get(signal) ?? []) port.close();
  ports.delete(signal);
}

/** Data whose array buffers move to the other thread when it crosses, and are empty here afterwards. */
export function moved<T extends object>(data: T): T {
  return transfer(data, [...buffersOf(data)]);
}

/** Every array buffer inside plain data (objects, arrays, views), each once. */
function buffersOf(data: unknown, found = new Set<ArrayBuffer>()): Set<ArrayBuffer> {
  if (ArrayBuffer.isView(data)) return buffersOf(data.buffer, found);
  if (data instanceof ArrayBuffer) return found.add(data);
  if (typeof data === "object" && data !== null) {
    for (const part of Object.values(data)) buffersOf(part, found);
  }
  return found;
}

/** A function of the other thread (a comlink proxy), or of this one. */
export type Listener<Event> = (event: Event) => unknown;

/**
 * Sends events to a listener of the other thread without waiting for it, in order.
 *
 * `close` resolves when all of them were received, so a result that is returned after it cannot overtake
 * them: events and results travel through different ports.
 */
export class EventSink<Event> {
  readonly #listener: Listener<Event> & { readonly [releaseProxy]?: () => void };
  #received: Promise<unknown> = Promise.resolve();

  constructor(listener: Listener<Event>) {
    this.#listener = listener;
  }

  /** Sends one event. It is copied; {@link moved} data moves. */
  send(event: Event): void {
    this.#received = Promise.all([this.#received, this.#listener(event)]);
  }

  /** Waits for the last event's receipt and lets the listener go. @throws what the listener threw */
  async close(): Promise<void> {
    try {
      await this.#received;
    } finally {
      this.#listener[releaseProxy]?.();
    }
  }
}
