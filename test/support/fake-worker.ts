// A Worker without a thread: an object that is exposed over a MessageChannel, and ways to break it.
import { expose } from "comlink";
import { installWire } from "../../src/base/wire.ts";

/** A worker of a test. `hang` stops its answers, `crash` fires its error event. */
export interface FakeWorker extends Worker {
  readonly isTerminated: boolean;
  hang(): void;
  crash(message: string): void;
}

/** Starts a fake worker that exposes `api`; without one it never answers. */
export function fakeWorker(api?: object): FakeWorker {
  installWire();
  return new ChannelWorker(api);
}

class ChannelWorker extends EventTarget implements FakeWorker {
  readonly #near: MessagePort;
  readonly #far: MessagePort;
  /** Ports that went over: those of a thread that ends are closed. */
  readonly #lent: MessagePort[] = [];
  isTerminated = false;
  onmessage = null;
  onmessageerror = null;
  onerror = null;

  constructor(api?: object) {
    super();
    const { port1, port2 } = new MessageChannel();
    this.#near = port1;
    this.#far = port2;
    port2.addEventListener("message", ({ ports }) => this.#lent.push(...ports));
    if (api) expose(api, port2);
    port1.addEventListener("message", ({ data, ports }) => {
      this.#lent.push(...ports);
      this.dispatchEvent(new MessageEvent("message", { data, ports: [...ports] }));
    });
    port1.start();
  }

  postMessage(message: unknown, options?: Transferable[] | StructuredSerializeOptions): void {
    const transfer = Array.isArray(options) ? options : (options?.transfer ?? []);
    if (!this.isTerminated) this.#near.postMessage(message, transfer);
  }

  terminate(): void {
    this.isTerminated = true;
    this.#near.close();
    this.#far.close();
    for (const port of this.#lent.splice(0)) port.close();
  }

  hang(): void {
    this.#near.close();
  }

  crash(message: string): void {
    this.dispatchEvent(Object.assign(new Event("error"), { message }));
  }
}
