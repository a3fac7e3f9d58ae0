// Answers without chance, for families that are compared with a reference's.
import type { Message } from "../../src/base/requests.ts";
import type { Stages, WrittenPrompt } from "../../src/models/family.ts";
import type { Runtime } from "../../src/session/runtime.ts";
import { generateTokens, type TokenCore } from "../../src/tokens/generate-tokens.ts";
import { known } from "../support/golden-values.ts";
import type { Compared } from "./compared.ts";

/** The most likely pick at every step. */
export const GREEDY = { temperature: 0, topK: 0, topP: 1, seed: 0 };

/** A golden answer. */
export interface GoldenAnswer {
  readonly name: string;
  readonly messages: readonly Message[];
  readonly answerIds: readonly number[];
  /** Logits behind the prompt. */
  readonly logits: ArrayLike<number>;
}

/** An answer beside the reference's. */
export interface ComparedAnswer {
  readonly logits: Compared;
  readonly ids: readonly number[];
  readonly expectedIds: readonly number[];
  readonly promptTokens: number;
}

/** Logits behind the prompt, and the greedy tokens that follow. */
export async function compareGreedy(
  { runtime, write }: Pick<Stages, "runtime" | "write">,
  { name, messages, answerIds, logits: expected }: GoldenAnswer,
): Promise<ComparedAnswer> {
  const prompt = await known(write, "write").prefill(messages, answerIds.length);
  const actual = await runtime.read(prompt.core.logits);
  const { ids } = await answerGreedily(runtime, prompt);
  const logits = { stage: `logits (${name})`, actual, expected };
  return { logits, ids, expectedIds: answerIds, promptTokens: prompt.promptTokens };
}

/** Ids until a stop id, which ends them, or until there is no more room. */
export async function answerGreedily(
  runtime: Runtime,
  { core, room, rules, repetitionPenalty }: WrittenPrompt,
  stopIds: ReadonlySet<number> = new Set(),
): Promise<{ ids: number[]; stopId: number | undefined }> {
  const options = { ...GREEDY, stopIds, maxTokens: room, rules, repetitionPenalty };
  const tokens = generateTokens(runtime, core, options);
  const ids: number[] = [];
  let next = await tokens.next();
  for (; !next.done; next = await tokens.next()) ids.push(...next.value);
  return { ids, stopId: next.value.stopId };
}

/** What the pick kernel does behind the logits when it picks this id, and the next step. */
export async function feed(runtime: Runtime, core: TokenCore, id: number): Promise<void> {
  runtime.write(core.token, Int32Array.of(id));
  for (const tensor of core.advance) {
    const lengths = Int32Array.from(await runtime.read(tensor));
    runtime.write(
      tensor,
      lengths.map((length) => length + 1),
    );
  }
  await core.decode();
}
