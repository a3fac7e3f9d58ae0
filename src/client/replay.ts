// One run over several lives of its worker: it is begun again from its seed, and what the application was told
// before is not told twice. A run is a function of its request and the device, so the same events come again;
// where they do not, the run cannot go on and says so. Knows nothing about workers.
import { fail } from "../base/errors.ts";
import type { Pace, RunEvent } from "../base/events.ts";

/** Passes the events of one run on, each once, however often the run is begun. */
export class Replay {
  readonly #tell: (event: RunEvent) => void;
  /** What the application was told, as {@link printOf} it: the events are the application's. */
  readonly #told: string[] = [];
  readonly #started = performance.now();
  #attempt = 0;
  /** Events of this attempt so far. */
  #count = 0;

  constructor(tell: (event: RunEvent) => void) {
    this.#tell = tell;
  }

  /** How often the run was begun. */
  get attempts(): number {
    return this.#attempt;
  }

  /**
   * Begins the run: from now on only the returned listener is heard, not those of earlier attempts.
   *
   * @param onOther - called with a ModelError device-lost when the run turns out to be another one than before
   */
  begin(onOther: (reason: unknown) => void): (event: RunEvent) => void {
    const attempt = ++this.#attempt;
    const lostSeconds = attempt === 1 ? 0 : (performance.now() - this.#started) / 1000;
    this.#count = 0;
    return (event) => {
      if (attempt !== this.#attempt) return;
      const known = this.#told[this.#count];
      const print = printOf(event);
      this.#count += 1;
      if (known === undefined) {
        this.#told.push(print);
        this.#tell(lostSeconds > 0 ? later(event, lostSeconds) : event);
      } else if (known !== print) onOther(otherRun());
    };
  }

  /** Ends the run. @throws ModelError device-lost when less happened than was told before */
  end(): void {
    this.#attempt += 1;
    if (this.#count < this.#told.length) throw otherRun();
  }
}

// The time that a loss took is time of the run.
function later(event: RunEvent, seconds: number): RunEvent {
  if (!("elapsedSeconds" in event)) return event;
  return { ...event, elapsedSeconds: event.elapsedSeconds + seconds };
}

function otherRun(): unknown {
  return fail(
    "device-lost",
    "The GPU was lost, and after it came back the same run gave another result (another GPU, or other " +
      "arithmetic). What was delivered so far cannot be continued: ask again.",
    { retryable: true },
  );
}

// Times differ from run to run; everything else repeats.
function printOf(event: RunEvent): string {
  const { elapsedSeconds: _, secondsLeft: __, ...rest }: RunEvent & Partial<Pace> = event;
  return JSON.stringify(rest, (key, value: unknown) =>
    key === "data" && value instanceof Uint8ClampedArray ? digest(value) : value,
  );
}

/** A number that other bytes hardly have (FNV-1a). */
function digest(bytes: Uint8ClampedArray): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}
