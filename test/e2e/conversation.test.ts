// One conversation across tasks, through the public API, the real workers and the real store: say what a picture
// shows, draw it with one thing changed, say what the new one shows. The pictures are held out from training.
import { join } from "node:path";
import type { Page } from "playwright";
import { describe, expect, test } from "vitest";
import { showsExactly } from "../score/check-drawing.ts";
import { detect } from "../score/detector.ts";
import type { Found } from "../score/detector.ts";
import { withPage } from "../support/open-page.mjs";
import { ROOT } from "../support/set-up.mjs";
import type { PlainMessage, PlainPart, PlainPicture } from "./api/page.ts";
import { captionsOf, recoloured } from "./caption-words.ts";
import { recolourings } from "./held-out-edits.ts";
import type { HeldOutEdit } from "./held-out-edits.ts";

const QUESTION = "describe the picture";

/** Conversations of each model; one that is right nine times of ten at each turn may spoil one of them. */
const COUNT = 4;
const ALLOWED_MISSES = 1;

/** What a model said, and which turns were right. */
interface Talk {
  readonly asked: string;
  readonly said: readonly string[];
  readonly right: Readonly<Record<string, boolean>>;
}

describe("describe, draw with one thing changed, describe", () => {
  test.each(["tiny-janusflow", "tiny-janus"])("%s, which draws from its own words", async (name) =>
    expectGood(await talkWith(name, drawFromOwnWords)),
  );

  test("tiny-nexusgen, which changes the picture itself", async () =>
    expectGood(await talkWith("tiny-nexusgen", changeThePicture, "nexus-gen")));

  test("tiny-transfusion, which answers with sentences and a picture", async () =>
    expectGood(await talkWith("tiny-transfusion", answerWithPicture, "transfusion")));
});

function expectGood(talks: readonly Talk[]): void {
  const good = talks.filter(({ right }) => Object.values(right).every(Boolean));
  expect(talks).toHaveLength(COUNT);
  const told = JSON.stringify(talks, null, 1);
  expect(good.length, told).toBeGreaterThanOrEqual(COUNT - ALLOWED_MISSES);
}

function talkWith(
  name: string,
  talk: (page: Page, about: HeldOutEdit) => Promise<Talk>,
  family = "omnigen",
): Promise<Talk[]> {
  return withPage("api", { "/model/": join(ROOT, "demo/models", name) }, async ({ page }) => {
    const options = { backend: "wasm", quantization: "q8" } as const;
    await page.evaluate((asked) => globalThis.application?.load("./model/", asked), options);
    const talks: Talk[] = [];
    for (const about of recolourings(family, COUNT)) talks.push(await talk(page, about));
    return talks;
  });
}

/** The application changes a word of the description and has it drawn. */
async function drawFromOwnWords(page: Page, { prompt, before, after }: HeldOutEdit): Promise<Talk> {
  const first = await sayWhat(page, before);
  const asked = recoloured(first, prompt);
  const changed = await page.evaluate(
    (text) => globalThis.application?.draw(text, { seed: 1 }),
    asked,
  );
  const last = changed ? await sayWhat(page, changed) : "";
  const captions = captionsOf(after);
  return {
    asked,
    said: [first, last],
    right: {
      first: captionsOf(found(before)).includes(first),
      picture:
        !!changed && captionsOf(found(changed)).some((caption) => captions.includes(caption)),
      last: captions.includes(last),
    },
  };
}

/** The application hands the picture back with what is to be changed. */
async function changeThePicture(
  page: Page,
  { prompt, before, after, within }: HeldOutEdit,
): Promise<Talk> {
  const first = await sayWhat(page, before);
  const changed = await page.evaluate(
    ([text, shown]) => globalThis.application?.edit(text, shown, { seed: 1 }),
    [prompt, before] as const,
  );
  const last = changed ? await sayWhat(page, changed) : "";
  return {
    asked: prompt,
    said: [first, last],
    right: {
      first: captionsOf(found(before)).includes(first),
      picture: !!changed && showsExactly(Uint8ClampedArray.from(changed.data), after, within),
      last: captionsOf(after).includes(last),
    },
  };
}

/** The whole conversation is in the messages; one answer holds a sentence, the changed picture, a sentence. */
async function answerWithPicture(
  page: Page,
  { prompt, before, after, within }: HeldOutEdit,
): Promise<Talk> {
  const first = await sayWhat(page, before);
  const parts = await converse(page, [
    { role: "user", content: [picture(before), words(QUESTION)] },
    { role: "assistant", content: [words(first)] },
    { role: "user", content: [words(`${prompt} and say what you see`)] },
  ]);
  const [sentence, drawn, ending] = parts;
  const changed = drawn?.type === "image" ? drawn.picture : undefined;
  const captions = captionsOf(after);
  const says = (part: PlainPart | undefined, start: string): boolean =>
    part?.type === "text" && captions.some((caption) => part.text === `${start} ${caption}`);
  return {
    asked: prompt,
    said: [first, ...parts.map((part) => (part.type === "text" ? part.text : "(picture)"))],
    right: {
      first: captionsOf(found(before)).includes(first),
      sentence: says(sentence, "here is"),
      picture: !!changed && showsExactly(Uint8ClampedArray.from(changed.data), after, within),
      ending: parts.length === 3 && says(ending, "i see"),
    },
  };
}

function found({ data }: PlainPicture): Found[] {
  return detect(Uint8ClampedArray.from(data));
}

function sayWhat(page: Page, shown: PlainPicture): Promise<string> {
  const messages: PlainMessage[] = [{ role: "user", content: [picture(shown), words(QUESTION)] }];
  return page.evaluate((asked) => globalThis.application?.describe(asked) ?? "", messages);
}

function converse(page: Page, messages: readonly PlainMessage[]): Promise<PlainPart[]> {
  return page.evaluate(
    (asked) => globalThis.application?.converse(asked, { seed: 1 }) ?? [],
    messages,
  );
}

function picture(shown: PlainPicture): PlainPart {
  return { type: "image", picture: shown };
}

function words(text: string): PlainPart {
  return { type: "text", text };
}
