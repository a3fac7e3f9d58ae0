import { describe, expect, test } from "vitest";
import {
  causalFlowBias,
  flowPositions,
  paddedIds,
  promptBias,
  timeThenPatchesBias,
} from "../../../src/flow/conditions.ts";

const rows = [
  { ids: [1, 5, 6], start: 3 },
  { ids: [1], start: 3 },
];

/** The slots that a query sees: where nothing is added to the score. */
function seen(bias: Float32Array, width: number, line: number): number[] {
  const scores = [...bias.subarray(line * width, (line + 1) * width)];
  return scores.flatMap((score, slot) => (score === 0 ? [slot] : []));
}

describe("paddedIds", () => {
  test("pads every row with 0 at the end", () => {
    expect([...paddedIds(rows, 4)]).toEqual([1, 5, 6, 0, 1, 0, 0, 0]);
  });
});

describe("promptBias", () => {
  test("lets a slot see itself and everything before it", () => {
    const bias = promptBias(rows, 4);
    for (let query = 0; query < 4; query++) {
      expect(seen(bias, 4, query)).toEqual([0, 1, 2, 3].slice(0, query + 1));
    }
  });
});

describe("promptBias with pictures", () => {
  test("lets a picture see the whole of itself, and nothing behind it", () => {
    const row = { ids: [1, 0, 0, 7], start: 4, pictures: [[1, 3] as const] };
    const bias = promptBias([row], 5);
    const all = [0, 1, 2, 3, 4].map((query) => seen(bias, 5, query));
    expect(all).toEqual([[0], [0, 1, 2], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]]);
  });
});

describe("timeThenPatchesBias", () => {
  test("shows the time its prompt and itself, and a patch its prompt and the whole flow", () => {
    const bias = timeThenPatchesBias(rows, 4, 3);
    expect(seen(bias, 7, 0)).toEqual([0, 1, 2, 4]);
    expect(seen(bias, 7, 1)).toEqual([0, 1, 2, 4, 5, 6]);
    expect(seen(bias, 7, 2)).toEqual([0, 1, 2, 4, 5, 6]);
    expect(seen(bias, 7, 3)).toEqual([0, 4]);
    expect(seen(bias, 7, 5)).toEqual([0, 4, 5, 6]);
  });
});

describe("causalFlowBias", () => {
  test("shows each row its own prompt, no padding, and the flow up to itself", () => {
    const bias = causalFlowBias(rows, 4, 2);
    expect(seen(bias, 6, 0)).toEqual([0, 1, 2, 4]);
    expect(seen(bias, 6, 1)).toEqual([0, 1, 2, 4, 5]);
    expect(seen(bias, 6, 2)).toEqual([0, 4]);
    expect(seen(bias, 6, 3)).toEqual([0, 4, 5]);
  });

  test("hides with a number that f16 can hold", () => {
    expect(Math.min(...causalFlowBias(rows, 4, 2))).toBeGreaterThan(-65504);
  });
});

describe("flowPositions", () => {
  test("counts on from each row's start", () => {
    expect([...flowPositions([3, 7], 2)]).toEqual([3n, 4n, 7n, 8n]);
  });
});
