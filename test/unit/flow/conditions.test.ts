import { describe, expect, test } from "vitest";
import {
  causalFlowBias,
  flowPositions,
  paddedIds,
  promptBias,
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
