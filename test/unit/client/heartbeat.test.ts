import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Heartbeat } from "../../../src/client/heartbeat.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const endless = new Promise<never>(() => undefined);

describe("Heartbeat", () => {
  test("asks only while somebody waits", async () => {
    let asked = 0;
    const heartbeat = new Heartbeat(
      async () => void (asked += 1),
      () => undefined,
    );
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(0);
    let finish: (() => void) | undefined;
    const work = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const during = heartbeat.during(work);
    await vi.advanceTimersByTimeAsync(12_000);
    finish?.();
    await during;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(2);
  });

  test("stays quiet for as long as answers come", async () => {
    let silence = 0;
    const heartbeat = new Heartbeat(
      () => new Promise((resolve) => setTimeout(resolve, 50_000)),
      () => (silence += 1),
    );
    void heartbeat.during(endless);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(silence).toBe(0);
  });

  test("reports a minute of silence", async () => {
    const silences: number[] = [];
    const heartbeat = new Heartbeat(
      () => endless,
      (_, seconds) => silences.push(seconds),
    );
    void heartbeat.during(endless);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(silences).toEqual([]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(silences).toEqual([60]);
  });

  test("gives the work's result and failure on", async () => {
    const heartbeat = new Heartbeat(
      () => endless,
      () => undefined,
    );
    expect(await heartbeat.during(Promise.resolve(4))).toBe(4);
    await expect(heartbeat.during(Promise.reject(new Error("no")))).rejects.toThrow("no");
  });
});
