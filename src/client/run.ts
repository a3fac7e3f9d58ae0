// A call that is under way: await it for the result, iterate it for what happens on the way. Knows
// nothing about workers or models.

/**
 * A call of a model. It is at work from the moment the method returned it; `await` gives its result,
 * `for await` its events, and both may be done with the same run.
 *
 * - Each loop sees every event from the first on, however late it begins, and there may be several.
 * - Leaving a loop does not stop the run. Its `signal` does: then `await` and loops throw `signal.reason`.
 * - A failure ends every loop with the same error that `await` throws. A caller who only loops need not
 *   catch it twice.
 *
 * @example
 * const run = model.generateImage({ prompt: "a red circle" });
 * for await (const event of run) if (event.type === "step") progress.value = event.step / event.steps;
 * const { images } = await run;
 */
export class Run<Result, Event> implements PromiseLike<Result>, AsyncIterable<Event> {
  readonly #result: Promise<Result>;
  readonly #events: Event[] = [];
  readonly #wakers = new Set<() => void>();
  #isSettled = false;

  /** @param work - does the call, and reports events while it does */
  constructor(work: (report: (event: Event) => void) => Promise<Result>) {
    this.#result = work((event) => this.#report(event)).finally(() => this.#settle());
  }

  /** As a promise's `then`. */
  // oxlint-disable-next-line unicorn/no-thenable -- being awaitable is what a Run is for
  then<Value = Result, Failure = never>(
    onResult?: ((result: Result) => Value | PromiseLike<Value>) | null,
    onError?: ((error: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Value | Failure> {
    return this.#result.then(onResult, onError);
  }

  /** As a promise's `catch`. */
  catch<Failure = never>(
    onError?: ((error: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Result | Failure> {
    return this.#result.catch(onError);
  }

  /** As a promise's `finally`. */
  finally(onEnd?: (() => void) | null): Promise<Result> {
    return this.#result.finally(onEnd);
  }

  /** All events from the first on; ends with the run, by its error if it fails. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Event, undefined, void> {
    // This loop reports the failure: without an await it is not an unhandled one.
    this.#result.catch(() => undefined);
    return this.#iterate();
  }

  async *#iterate(): AsyncGenerator<Event, undefined, void> {
    for (let index = 0; ;) {
      const event = this.#events[index];
      if (event !== undefined) {
        index += 1;
        yield event;
      } else if (this.#isSettled) {
        await this.#result;
        return undefined;
      } else {
        await new Promise<void>((resolve) => this.#wakers.add(resolve));
      }
    }
  }

  #report(event: Event): void {
    // An aborted call may still report for a moment; its loops have ended.
    if (this.#isSettled) return;
    this.#events.push(event);
    this.#wake();
  }

  #settle(): void {
    this.#isSettled = true;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#wakers) wake();
    this.#wakers.clear();
  }
}
