import { expose, proxy, wrap } from "comlink";
import type { Remote } from "comlink";
import { afterEach, describe, expect, test } from "vitest";
import { ModelError, fail } from "../../../src/base/errors.ts";
import { EventSink, installWire, moved, releaseSignal } from "../../../src/base/wire.ts";
import type { Listener } from "../../../src/base/wire.ts";

const far = {
  refuse(code: "numerics" | "busy"): void {
    throw fail(code, "refused", { at: "far" }, new RangeError("why"));
  },
  throwText(): void {
    // oxlint-disable-next-line no-throw-literal, typescript/only-throw-error -- what is tested
    throw "text";
  },
  async waitForAbort(signal: AbortSignal): Promise<string> {
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
    return signal.reason.name;
  },
  async count(listener: Listener<{ n: number }>, upTo: number): Promise<string> {
    const sink = new EventSink(listener);
    for (let n = 1; n <= upTo; n++) sink.send({ n });
    await sink.close();
    return "counted";
  },
  picture(): { data: Uint8Array<ArrayBuffer> } {
    const answer = { data: new Uint8Array([1, 2]) };
    made = answer;
    return moved(answer);
  },
  size: (data: Float32Array): number => data.length,
};
let made: { data: Uint8Array } | undefined;

const ports: MessagePort[] = [];
// comlink drops the answer to a call whose proxy is collected: every proxy is held until its test ends.
const remotes: Remote<typeof far>[] = [];
afterEach(() => {
  remotes.length = 0;
  ports.splice(0).forEach((port) => port.close());
});

function connect(): Remote<typeof far> {
  installWire();
  installWire();
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  expose(far, port1);
  const remote = wrap<typeof far>(port2);
  remotes.push(remote);
  return remote;
}

describe("installWire", () => {
  test("lets a ModelError cross with code, details and cause", async () => {
    const error: unknown = await connect()
      .refuse("numerics")
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ModelError);
    expect(error).toMatchObject({ code: "numerics", details: { at: "far" }, message: "refused" });
    expect(error).toHaveProperty("cause", new RangeError("why"));
  });

  test("lets a thrown value that is no error cross as it is", async () => {
    await expect(connect().throwText()).rejects.toBe("text");
  });

  test("connects a signal", async () => {
    const controller = new AbortController();
    const answer = connect().waitForAbort(controller.signal);
    controller.abort();
    expect(await answer).toBe("AbortError");
  });

  test("lets an aborted signal arrive aborted", async () => {
    expect(await connect().waitForAbort(AbortSignal.abort("early"))).toBe("AbortError");
  });
});

describe("releaseSignal", () => {
  test("disconnects a signal: a later abort does not cross", async () => {
    const controller = new AbortController();
    const answer = connect().waitForAbort(controller.signal);
    releaseSignal(controller.signal);
    controller.abort();
    const late = new Promise((resolve) => setTimeout(() => resolve("still waiting"), 20));
    expect(await Promise.race([answer, late])).toBe("still waiting");
  });
});

describe("EventSink", () => {
  test("delivers every event, in order, before the result", async () => {
    const seen: number[] = [];
    const listener = proxy(({ n }: { n: number }) => void seen.push(n));
    await connect().count(listener, 100);
    expect(seen).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
  });

  test("fails when its listener does", async () => {
    const listener = proxy(() => {
      throw new TypeError("no");
    });
    await expect(connect().count(listener, 3)).rejects.toThrow(TypeError);
  });
});

describe("moved", () => {
  test("empties the arrays of the thread that gave them away", async () => {
    const { data } = await connect().picture();
    expect([...data]).toEqual([1, 2]);
    expect(made?.data.length).toBe(0);
  });

  test("arrays that are not moved are copied", async () => {
    const data = new Float32Array(4);
    expect(await connect().size(data)).toBe(4);
    expect(data.length).toBe(4);
  });
});
