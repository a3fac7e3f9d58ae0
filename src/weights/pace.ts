// How fast bytes come and how long the rest will take, told at most ten times a second.
import type { LoadPhase, LoadProgress } from "../base/events.ts";

/** What is being measured. */
export interface PaceOptions {
  readonly phase: LoadPhase;
  readonly totalBytes: number;
  /** Bytes that were there before. */
  readonly doneBytes?: number;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Milliseconds; replaced in tests. */
  readonly clock?: () => number;
}

/** Counts bytes and reports. */
export interface Pace {
  add(bytes: number, file: string): void;
  /** Reports the end, whatever was counted. */
  finish(file: string): void;
}

const REPORT_MS = 100;
/** The speed shown is that of the last seconds: long enough to be steady, short enough to follow a change. */
const WINDOW_MS = 8_000;

/** Starts the clock. */
export function createPace({
  phase,
  totalBytes,
  doneBytes = 0,
  onProgress,
  clock = () => performance.now(),
}: PaceOptions): Pace {
  const samples = [{ at: clock(), bytes: doneBytes }];
  let loaded = doneBytes;
  let reportedAt = -Infinity;
  const report = (file: string): void => {
    const now = clock();
    const loadedBytes = Math.min(loaded, totalBytes);
    while (samples.length > 1 && now - (samples[0]?.at ?? now) > WINDOW_MS) samples.shift();
    const since = samples[0] ?? { at: now, bytes: loaded };
    const seconds = (now - since.at) / 1000;
    const bytesPerSecond = seconds > 0 ? Math.max(0, loaded - since.bytes) / seconds : 0;
    samples.push({ at: now, bytes: loaded });
    reportedAt = now;
    const progress = { phase, file, loadedBytes, totalBytes, bytesPerSecond };
    if (bytesPerSecond <= 0) onProgress?.(progress);
    else onProgress?.({ ...progress, secondsLeft: (totalBytes - loadedBytes) / bytesPerSecond });
  };
  return {
    add(bytes, file) {
      loaded += bytes;
      if (clock() - reportedAt >= REPORT_MS) report(file);
    },
    finish(file) {
      loaded = totalBytes;
      report(file);
    },
  };
}
