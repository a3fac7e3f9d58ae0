// messages -> an answer of texts and pictures: the token loop until it begins a picture, the picture, and on.
import { fail } from "../base/errors.ts";
import type { ConverseResult, Pace, RunEvent, TextUsage } from "../base/events.ts";
import type { ConverseRequest } from "../base/requests.ts";
import type { InterleaveStage, Stages, WriteStage, WrittenPrompt } from "../models/family.ts";
import { generateTokens } from "../tokens/generate-tokens.ts";
import { startPace, type PaceClock } from "./pace.ts";
import { paint } from "./paint.ts";

type Part = ConverseResult["parts"][number];

/**
 * Answers a conversation with texts and pictures.
 *
 * @returns the answer's parts in order; token counts are those of its texts
 * @throws RangeError when the conversation is too long, the signal's reason within one step or token batch
 */
export async function* converse(
  stages: Stages,
  request: ConverseRequest,
  signal?: AbortSignal,
): AsyncGenerator<RunEvent, ConverseResult, undefined> {
  const { write, interleave } = stages;
  if (write === undefined || interleave === undefined) {
    throw fail("unsupported-model", "This model's answers hold no pictures.");
  }
  const prefilling = startPace();
  let prompt: WrittenPrompt | undefined = await interleave.prefill(
    request.messages,
    request.maxTokens,
    signal,
  );
  const { promptTokens } = prompt;
  const prefillSeconds = prefilling.at(0).elapsedSeconds;
  const answer: Answer = { parts: [], tokens: 0, pictures: 0, pace: startPace() };
  while (prompt !== undefined) {
    const text = yield* writeText(stages, { write, interleave, prompt }, request, answer, signal);
    if (!text.beginsPicture) break;
    yield* drawPicture(interleave, text.ids, request, answer, signal);
    const left = request.maxTokens - answer.tokens;
    prompt = left > 0 ? await interleave.resume(left, signal) : undefined;
  }
  const usage: TextUsage = {
    promptTokens,
    completionTokens: answer.tokens,
    prefillSeconds,
    decodeSeconds: answer.pace.at(0).elapsedSeconds,
  };
  return { parts: answer.parts, usage };
}

/** What was answered so far. */
interface Answer {
  readonly parts: Part[];
  tokens: number;
  pictures: number;
  readonly pace: PaceClock;
}

interface TextPlace {
  readonly write: WriteStage;
  readonly interleave: InterleaveStage;
  readonly prompt: WrittenPrompt;
}

interface WrittenText {
  readonly ids: readonly number[];
  readonly beginsPicture: boolean;
}

async function* writeText(
  { runtime }: Stages,
  { write, interleave, prompt }: TextPlace,
  request: ConverseRequest,
  answer: Answer,
  signal: AbortSignal | undefined,
): AsyncGenerator<RunEvent, WrittenText, undefined> {
  const stream = write.createTextStream();
  const tokens = generateTokens(runtime, prompt.core, {
    ...request,
    seed: request.seed + answer.pictures,
    maxTokens: prompt.room,
    stopIds: new Set([...write.stopIds, ...interleave.beginIds]),
    rules: prompt.rules,
    repetitionPenalty: prompt.repetitionPenalty,
    signal,
  });
  const ids: number[] = [];
  let text = "";
  let next = await tokens.next();
  for (; !next.done; next = await tokens.next()) {
    ids.push(...next.value);
    const delta = next.value.map((id) => stream.push(id)).join("");
    if (delta === "") continue;
    text += delta;
    yield deltaEvent(delta, answer, ids.length);
  }
  const rest = stream.end();
  if (rest !== "") yield deltaEvent(rest, answer, ids.length);
  text += rest;
  answer.tokens += ids.length;
  if (text !== "") answer.parts.push({ type: "text", text });
  const { stopId } = next.value;
  const beginsPicture = stopId !== undefined && interleave.beginIds.has(stopId);
  if (stopId !== undefined) ids.push(stopId);
  return { ids, beginsPicture };
}

function deltaEvent(text: string, { tokens, pace }: Answer, count: number): RunEvent {
  return { type: "text-delta", text, tokens: tokens + count, ...pace.at(0) };
}

async function* drawPicture(
  interleave: InterleaveStage,
  ids: readonly number[],
  { seed, steps: askedSteps, guidance: askedGuidance, previewEvery }: ConverseRequest,
  answer: Answer,
  signal: AbortSignal | undefined,
): AsyncGenerator<RunEvent, void, undefined> {
  const image = answer.pictures;
  const asked = {
    seed: seed + image,
    ...(askedSteps === undefined ? {} : { steps: askedSteps }),
    ...(askedGuidance === undefined ? {} : { guidance: askedGuidance }),
  };
  const drawing = await interleave.prepare(ids, asked, signal);
  try {
    const { steps, guidance } = drawing;
    const drawn = startPace(steps);
    const paceAt = (step: number): Pace => drawn.at(step);
    const { pixels } = yield* paint(drawing, { image, previewEvery, paceAt, signal });
    answer.pictures += 1;
    answer.parts.push({ type: "image", pixels, steps, guidance });
  } finally {
    drawing.dispose();
  }
}
