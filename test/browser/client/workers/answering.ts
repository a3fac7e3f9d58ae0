// A worker that can be asked to misbehave.
import { expose } from "comlink";
import { fail } from "../../../../src/base/errors.ts";
import { EventSink, installWire, moved } from "../../../../src/base/wire.ts";
import type { Listener } from "../../../../src/base/wire.ts";

let abortsHeard = 0;

const api = {
  ping(): void {},
  double: (value: number): number => value * 2,
  refuse(): void {
    throw fail("numerics", "Not finite.", { step: 7 }, new DOMException("why", "DataError"));
  },
  async waitForAbort(signal: AbortSignal): Promise<void> {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    abortsHeard += 1;
  },
  abortsHeard: (): number => abortsHeard,
  block(): void {
    for (;;);
  },
  crash(): void {
    setTimeout(() => {
      throw new Error("thrown out of nowhere");
    });
  },
  async tell(listener: Listener<{ data: Uint8Array }>, count: number): Promise<number> {
    const sink = new EventSink(listener);
    for (let n = 0; n < count; n++) sink.send(moved({ data: new Uint8Array([n]) }));
    await sink.close();
    return count;
  },
};

/** What the worker exposes. */
export type AnsweringApi = typeof api;

installWire();
expose(api);
