// messages -> prompt in the cache -> tokens -> text, one delta after the other.
import { fail } from "../base/errors.ts";
import type { TextDeltaEvent, TextResult } from "../base/events.ts";
import type { TextRequest } from "../base/requests.ts";
import type { Stages } from "../models/family.ts";
import { generateTokens } from "../tokens/generate-tokens.ts";
import { startPace } from "./pace.ts";

/**
 * Answers a conversation.
 *
 * @returns the whole text, why it ended, and token counts
 * @throws TypeError when the model cannot write, RangeError when the conversation is too long, the signal's reason
 */
export async function* generateText(
  stages: Stages,
  request: TextRequest,
  signal?: AbortSignal,
): AsyncGenerator<TextDeltaEvent, TextResult, undefined> {
  const { runtime, write } = stages;
  if (write === undefined) throw fail("unsupported-model", "This model does not write text.");
  const prefilling = startPace();
  const prompt = await write.prefill(request.messages, request.maxTokens, signal);
  const { promptTokens, room, core, rules, repetitionPenalty } = prompt;
  const prefillSeconds = prefilling.at(0).elapsedSeconds;
  const stream = write.createTextStream();
  const tokens = generateTokens(runtime, core, {
    ...request,
    maxTokens: room,
    rules,
    repetitionPenalty,
    stopIds: write.stopIds,
    signal,
  });

  const pace = startPace(room);
  let text = "";
  let count = 0;
  let next = await tokens.next();
  for (; !next.done; next = await tokens.next()) {
    count += next.value.length;
    const delta = next.value.map((id) => stream.push(id)).join("");
    if (delta === "") continue;
    text += delta;
    yield { type: "text-delta", text: delta, tokens: count, ...pace.at(count) };
  }
  const rest = stream.end();
  if (rest !== "") {
    text += rest;
    yield { type: "text-delta", text: rest, tokens: count, ...pace.at(count) };
  }
  return {
    text,
    finishReason: next.value.reason,
    usage: {
      promptTokens,
      completionTokens: count,
      prefillSeconds,
      decodeSeconds: pace.at(count).elapsedSeconds,
    },
  };
}
