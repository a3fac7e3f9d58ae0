import { describe, expect, test, vi } from "vitest";
import type { Pixels } from "../../../src/base/pixels.ts";
import { CodeDrawing } from "../../../src/tokens/code-drawing.ts";
import type { TokenCore } from "../../../src/tokens/generate-tokens.ts";
import { createFakeRuntime, dataOf } from "../../support/fake-runtime.ts";

const SAMPLING = { temperature: 0, topK: 0, topP: 1, seed: 0 };
const VOCABULARY = 10;

/** A drawing of `side` x `side` codes, code n of which is `codeOf(n)`; what was decoded is in `decoded`. */
function createDrawing(side: number, codeOf: (n: number) => number = (n) => n % VOCABULARY) {
  const runtime = createFakeRuntime();
  const logits = runtime.createTensor("f32", [1, 1, VOCABULARY]);
  const decoded: number[][] = [];
  let position = 0;
  const say = (): void => {
    dataOf(logits).fill(0);
    const code = codeOf(position++);
    if (Number.isNaN(code)) dataOf(logits).fill(code);
    else dataOf(logits)[code] = 1;
  };
  const core: TokenCore = {
    logits,
    vocabularySize: VOCABULARY,
    token: runtime.createTensor("i32", [1, 1]),
    advance: [],
    decode: async () => say(),
  };
  const drawing = new CodeDrawing(runtime, {
    grid: [side, side],
    sampling: SAMPLING,
    guidance: 1,
    begin: async () => {
      position = 0;
      say();
      return core;
    },
    decode: async (ids): Promise<Pixels> => {
      decoded.push([...dataOf(ids)]);
      return { width: 1, height: 1, data: new Uint8ClampedArray(4) };
    },
  });
  return { runtime, drawing, decoded };
}

async function drawTo(drawing: CodeDrawing, last: number): Promise<void> {
  for await (const { step } of drawing.draw(0, { settleEvery: 1 })) if (step === last) return;
}

describe("CodeDrawing", () => {
  test("decodes what is picked so far, the rest 0, and reads all codes at the end", async () => {
    const { drawing, decoded } = createDrawing(2, (n) => n + 5);
    await drawTo(drawing, 2);
    await drawing.decode();
    await drawTo(drawing, 4);
    await drawing.decode();
    expect(decoded).toEqual([
      [5, 6, 0, 0],
      [5, 6, 7, 8],
    ]);
    expect([...(await drawing.readLatents())]).toEqual([5, 6, 7, 8]);
  });

  test("shows no preview behind a code whose logits were no numbers, and names it", async () => {
    const { drawing } = createDrawing(3, (n) => (n === 3 ? Number.NaN : n));
    await drawTo(drawing, 3);
    await drawing.decode();
    await drawTo(drawing, 5);
    const broken = { code: "numerics", details: { step: 4 } };
    await expect(drawing.decode()).rejects.toMatchObject(broken);
    await expect(drawing.readLatents()).rejects.toMatchObject(broken);
  });

  test("tells the code that broke, not the decoder that read it", async () => {
    const { drawing } = createDrawing(2, (n) => (n === 1 ? Number.NaN : n));
    vi.spyOn(drawing.parts, "decode").mockRejectedValue(new Error("Gather: index out of bounds"));
    await drawTo(drawing, 2);
    await expect(drawing.decode()).rejects.toMatchObject({ details: { step: 2 } });
  });

  test("refuses zeros in place of codes", async () => {
    const { drawing, runtime } = createDrawing(2);
    await drawTo(drawing, 4);
    vi.spyOn(runtime, "read").mockResolvedValue(new Int32Array(5));
    await expect(drawing.readLatents()).rejects.toThrow(/picked 0 of 4 tokens/);
    await expect(drawing.decode()).rejects.toThrow(/picked 0 of 4 tokens/);
  });

  test("refuses a picture of one code, where it has many", async () => {
    const { drawing } = createDrawing(8, () => 3);
    await drawTo(drawing, 64);
    await expect(drawing.readLatents()).rejects.toThrow(/All 64 codes are 3/);
  });

  test("frees what it made", async () => {
    const { runtime, drawing } = createDrawing(2);
    const kept = 2; // logits and token are the core's
    await drawTo(drawing, 4);
    drawing.dispose();
    expect(runtime.tensors.slice(kept).every(({ isDisposed }) => isDisposed)).toBe(true);
  });
});
