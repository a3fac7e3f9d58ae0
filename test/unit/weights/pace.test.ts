import { describe, expect, test } from "vitest";

import type { LoadProgress } from "../../../src/base/events.ts";
import { createPace } from "../../../src/weights/pace.ts";
import { pause, waitBefore } from "../../../src/weights/retry.ts";

describe("createPace", () => {
  test("tells speed and time left of a steady stream", () => {
    const seen = run(100, 1000, 10);
    expect(seen.at(-2)).toMatchObject({ bytesPerSecond: 100, secondsLeft: expect.closeTo(1, 0) });
  });

  test("follows a change of speed within its window", () => {
    let now = 0;
    const seen: LoadProgress[] = [];
    const pace = createPace({
      phase: "download",
      totalBytes: 1e6,
      onProgress: (progress) => seen.push(progress),
      clock: () => now,
    });
    for (let second = 0; second < 40; second++) {
      now += 1000;
      pace.add(second < 20 ? 1000 : 100, "f");
    }
    expect(seen.at(-1)?.bytesPerSecond).toBeCloseTo(100, 0);
  });

  test("never tells more than the total, and ends at it", () => {
    const seen = run(300, 1000, 5);
    expect(Math.max(...seen.map(({ loadedBytes }) => loadedBytes))).toBe(1000);
    expect(seen.at(-1)?.loadedBytes).toBe(1000);
  });

  test("keeps quiet between reports", () => {
    let now = 0;
    let reports = 0;
    const onProgress = (): void => void reports++;
    const pace = createPace({ phase: "read", totalBytes: 1e6, onProgress, clock: () => now });
    for (let ms = 0; ms < 1000; ms++) {
      now = ms;
      pace.add(1, "f");
    }
    expect(reports).toBe(10);
  });
});

describe("waitBefore", () => {
  test("doubles up to its ceiling and stays between half of it and all of it", () => {
    expect(waitBefore(1, null, 0, 0)).toBe(250);
    expect(waitBefore(1, null, 0, 1)).toBe(500);
    expect(waitBefore(3, null, 0, 1)).toBe(2000);
    expect(waitBefore(30, null, 0, 1)).toBe(15_000);
  });

  test("honours Retry-After in seconds and as a date, within a minute", () => {
    const now = Date.parse("2026-01-01T00:00:00Z");
    expect(waitBefore(1, "3", now)).toBe(3000);
    expect(waitBefore(1, "Thu, 01 Jan 2026 00:00:09 GMT", now)).toBe(9000);
    expect(waitBefore(1, "60", now)).toBe(60_000);
    expect(waitBefore(1, "61", now)).toBeUndefined();
    expect(waitBefore(1, "soon", now, 1)).toBe(500);
  });
});

describe("pause", () => {
  test("rejects with the reason of a signal that was aborted before", async () => {
    await expect(pause(1e6, AbortSignal.abort(new Error("no")))).rejects.toThrow("no");
  });
});

function run(bytesPerSecond: number, totalBytes: number, seconds: number): LoadProgress[] {
  let now = 0;
  const seen: LoadProgress[] = [];
  const onProgress = (progress: LoadProgress): void => void seen.push(progress);
  const pace = createPace({ phase: "download", totalBytes, onProgress, clock: () => now });
  for (let second = 0; second < seconds - 1; second++) {
    now += 1000;
    pace.add(bytesPerSecond, "f");
  }
  pace.finish("f");
  return seen;
}
