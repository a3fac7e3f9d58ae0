// One answer of a sentence, a picture and a sentence, through the public API: the model begins the picture by itself,
// and goes on writing about what it drew.
import { join } from "node:path";
import { expect, test } from "vitest";
import { detect } from "../score/detector.ts";
import { withPage } from "../support/open-page.mjs";
import { ROOT } from "../support/set-up.mjs";
import type { PlainPart } from "./api/page.ts";
import { captionsOf } from "./caption-words.ts";
import { recolourings } from "./held-out-edits.ts";

const COUNT = 8;
/** The model draws nine of ten things right, and says what it sees as often. */
const ALLOWED_MISSES = 2;
/** Three different objects are more than it was taught to draw. */
const MOST_OBJECTS = 2;

test.each([
  ["tiny-chameleon", "chameleon"],
  ["tiny-transfusion", "transfusion"],
])("%s draws between two sentences, and each fits", (name, family) =>
  withPage("api", { "/model/": join(ROOT, "demo/models", name) }, async ({ page }) => {
    const options = { backend: "wasm", quantization: "q8" } as const;
    await page.evaluate((asked) => globalThis.application?.load("./model/", asked), options);
    const scenes = recolourings(family, Infinity)
      .map(({ after }) => after)
      .filter(({ length }) => length <= MOST_OBJECTS);
    const answers: object[] = [];
    for (const scene of scenes.slice(0, COUNT)) {
      const captions = captionsOf(scene);
      const text = `draw ${captions[0]} and say what you see`;
      const parts = await page.evaluate(
        async (asked) =>
          globalThis.application?.converse(
            [{ role: "user", content: [{ type: "text", text: asked }] }],
            { seed: 1 },
          ),
        text,
      );
      answers.push({ text, said: parts?.map(plainText), isRight: fits(parts ?? [], captions) });
    }
    const right = answers.filter((answer) => "isRight" in answer && answer.isRight);
    expect(answers).toHaveLength(COUNT);
    expect(right.length, JSON.stringify(answers, null, 1)).toBeGreaterThanOrEqual(
      COUNT - ALLOWED_MISSES,
    );
  }),
);

function fits(parts: readonly PlainPart[], captions: readonly string[]): boolean {
  const [sentence, drawn, ending] = parts;
  if (parts.length !== 3 || drawn?.type !== "image") return false;
  const says = (part: PlainPart | undefined, start: string): boolean =>
    part?.type === "text" && captions.some((caption) => part.text === `${start} ${caption}`);
  const shown = captionsOf(detect(Uint8ClampedArray.from(drawn.picture.data)));
  const isDrawn = shown.some((caption) => captions.includes(caption));
  return says(sentence, "here is") && isDrawn && says(ending, "i see");
}

function plainText(part: PlainPart): string {
  return part.type === "text" ? part.text : "(picture)";
}
