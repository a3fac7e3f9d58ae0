// What a family's comparison with its reference gives, and the bar that f32 must pass on every backend.
import { expect } from "vitest";
import type { LoadedModel } from "../../src/engine/engine.ts";
import { relativeError } from "../support/closeness.ts";

/** A computed stage and the reference's numbers for it. */
export interface Compared {
  readonly stage: string;
  readonly actual: ArrayLike<number>;
  readonly expected: ArrayLike<number>;
}

/** A checkpoint with goldens on a backend. */
export interface ParitySubject<Goldens, Model = LoadedModel> {
  readonly checkpoint: string;
  readonly goldens: Goldens;
  open: () => Promise<Model>;
}

const BAR = 1e-4;

/** f32 is within 1e-4 of the reference's largest number. */
export function expectClose({ stage, actual, expected }: Compared): void {
  expect(relativeError(actual, expected), stage).toBeLessThan(BAR);
}
