// Every stage of Nexus-Gen beside the authors' numbers, computed but not judged: tests hold f32 to its bars,
// the parity table prints the cosines of the quantized runs.
import type { Message } from "../../src/base/requests.ts";
import { sigmas } from "../../src/models/nexus-gen/decoder.ts";
import type { CompiledField } from "../../src/models/nexus-gen/painter.ts";
import { slotPositions, slotsOf } from "../../src/models/nexus-gen/positions.ts";
import type { PromptPart } from "../../src/models/prompt-parts.ts";
import { conversationPrompt, drawingPrompt } from "../../src/models/nexus-gen/prompt.ts";
import { editRaster, questionRaster, sourceRaster } from "../../src/models/nexus-gen/vision.ts";
import { FlowDrawing } from "../../src/flow/flow-drawing.ts";
import type { Tensor, TensorData } from "../../src/session/runtime.ts";
import { drawImages } from "../../src/tasks/draw-images.ts";
import { finish, rgbOf, values } from "../support/golden-values.ts";
import type { OpenNexusGen } from "../support/open-nexus-gen.ts";
import type { Compared } from "./compared.ts";
import { answerGreedily, compareGreedy, feed, type ComparedAnswer } from "./greedy.ts";
import { goldenMessages, photoOf, understandCase, type NexusGenGoldens } from "./nexus-gen-case.ts";

/** The tower's features of a photo, resized as for a question. */
export async function compareFeatures(
  model: OpenNexusGen,
  goldens: NexusGenGoldens,
  photo: number,
): Promise<Compared> {
  const raster = questionRaster(photoOf(goldens, photo), model.config);
  const actual = await take(model, await model.core.vision.see(raster));
  return {
    stage: `features of photo ${photo}`,
    actual,
    expected: values(goldens, `image.${photo}.features`),
  };
}

/** Ids, positions and hidden states of a conversation. */
export async function compareConversation(
  model: OpenNexusGen,
  goldens: NexusGenGoldens,
  name: string,
): Promise<{ ids: readonly number[]; expectedIds: readonly number[]; compared: Compared[] }> {
  const { language } = model.core;
  const parts = conversationPrompt(goldenMessages(goldens, name), language.tokens);
  const pieces = language.pieces(parts, (pixels) => questionRaster(pixels, model.config));
  const layout = language.stretches(pieces);
  await language.reserveFor(pieces, 1);
  const hidden = await take(model, await language.extend(pieces, { from: 0, layout }));
  const positions = slotPositions(layout, slotsOf(layout));
  return {
    ids: language.idsOf(pieces),
    expectedIds: understandCase(goldens, name).inputIds,
    compared: [
      {
        stage: `positions (${name})`,
        actual: [0, 1, 2].flatMap((axis) => positions.map((position) => position[axis] ?? -1)),
        expected: values(goldens, `understand.${name}.positions`),
      },
      {
        stage: `hidden states (${name})`,
        actual: hidden,
        expected: values(goldens, `understand.${name}.hidden`),
      },
    ],
  };
}

/** Logits behind a conversation, and the greedy tokens that follow. */
export function compareAnswer(
  { stages }: OpenNexusGen,
  goldens: NexusGenGoldens,
  name: string,
): Promise<ComparedAnswer> {
  return compareGreedy(stages, {
    name,
    messages: goldenMessages(goldens, name),
    answerIds: understandCase(goldens, name).answerIds,
    logits: values(goldens, `understand.${name}.logits`),
  });
}

/** The picture that the core imagines, and what the decoder makes of it. */
export async function compareImagined(
  model: OpenNexusGen,
  goldens: NexusGenGoldens,
  task: "draw" | "edit",
): Promise<{ ids: readonly number[]; expectedIds: readonly number[]; compared: Compared[] }> {
  const { language, vision } = model.core;
  const photo = photoOf(goldens, 0);
  const parts = taskPrompt(model, goldens, task);
  const pieces = language.pieces(parts, (pixels) => editRaster(pixels, model.config));
  const before = language.stretches(pieces);
  await language.reserveFor(pieces, model.config.grid ** 2);
  const embeddings = await language.imagine(pieces, { from: 0, before });
  const isEdit = task === "edit" && model.editing !== undefined;
  const source = isEdit ? await vision.see(sourceRaster(photo, model.config)) : undefined;
  const { painter } = isEdit ? (model.editing ?? model.generation) : model.generation;
  const context = await painter.contextOf(embeddings, source);
  const compared: Compared[] = [
    {
      stage: `embeddings (${task})`,
      actual: await take(model, embeddings),
      expected: values(goldens, `${task}.embeddings`),
    },
    {
      stage: `context tokens (${task})`,
      actual: await take(model, context),
      expected: values(goldens, `${task}.tokens`),
    },
  ];
  if (source !== undefined) {
    compared.push({
      stage: "features of the edited picture",
      actual: await take(model, source),
      expected: values(goldens, "edit.source.features"),
    });
  }
  return { ids: language.idsOf(pieces), expectedIds: goldens.json[task].ids, compared };
}

/** Velocity of every row at several sigmas. */
export async function compareVelocity(
  { stages, generation, editing }: OpenNexusGen,
  goldens: NexusGenGoldens,
  task: "draw" | "edit",
): Promise<Compared[]> {
  const { runtime, draw } = stages;
  const { json } = goldens;
  const guidance = task === "draw" ? json.guidance : 1;
  // A number of steps that nobody else asks for: what is kept for it is written over with the golden sigmas.
  const request = { ...requestOf(goldens, task), steps: json.sigmas.length, guidance };
  const drawing = await draw?.prepare({ ...request, seed: 0, count: 1 });
  if (!(drawing instanceof FlowDrawing)) throw new Error("Nexus-Gen draws by a flow");
  const { field } = drawing.parts;
  const decoder = task === "edit" ? (editing ?? generation) : generation;
  const { tables } = await decoder.times.modulate(Float32Array.from(json.sigmas));
  for (const [port, table] of Object.entries(tables)) {
    const own = (field as CompiledField).modulated.tables[port];
    if (own !== undefined) runtime.copy(table, own, { bytes: table.byteLength });
    table.dispose();
  }
  const compared: Compared[] = [];
  for (const [step, sigma] of json.sigmas.entries()) {
    runtime.write(field.latents, values(goldens, "probe"));
    runtime.write(field.time, Float32Array.of(step));
    await field.evaluate();
    const all = await runtime.read(field.velocity);
    const rows = task === "draw" ? ["cond", "uncond"] : ["cond"];
    const size = all.length / rows.length;
    for (const [row, name] of rows.entries()) {
      compared.push({
        stage: `velocity (${task}, ${name}, sigma ${sigma})`,
        actual: all.subarray(row * size, (row + 1) * size),
        expected: values(goldens, `${task}.${name}.sigma.${sigma}`),
      });
    }
  }
  return compared;
}

/** Latents and pixels of a whole run from the golden noise. */
export async function compareRun(
  { stages }: OpenNexusGen,
  goldens: NexusGenGoldens,
  task: "draw" | "edit",
  guidance: number,
): Promise<{ latents: Compared; pixels?: Compared }> {
  const name = `${task}.guidance${guidance}`;
  const latents = values(goldens, "noise") as Float32Array<ArrayBuffer>;
  const request = { ...requestOf(goldens, task), guidance, latents };
  const drawn = drawImages(stages, { ...request, seed: 0, count: 1, previewEvery: 0 });
  const { latents: actual, pictures } = await finish(drawn);
  return {
    latents: {
      stage: `latents (${name})`,
      actual,
      expected: values(goldens, `${name}.latents`),
    },
    ...(goldens.tensors.has(`${name}.pixels`) && {
      pixels: {
        stage: `pixels (${name})`,
        actual: rgbOf(pictures[0]),
        expected: values(goldens, `${name}.pixels`),
      },
    }),
  };
}

/** An answer that begins with a picture, and the words behind it. */
export async function compareInterleaved(
  { stages, core }: OpenNexusGen,
  goldens: NexusGenGoldens,
): Promise<{ ids: number[]; expectedIds: readonly number[] }> {
  const { runtime, interleave } = stages;
  if (interleave === undefined) throw new Error("Nexus-Gen's answers hold pictures");
  const { ids: prompt, prompt: text, afterIds } = goldens.json.draw;
  const { language } = core;
  // The golden prompt is a question and the answer's first words: the words are answered here.
  const question = `Generate an image according to the following description: ${text}`;
  const messages: Message[] = [{ role: "user", content: [{ type: "text", text: question }] }];
  const asked = language.idsOf(
    language.pieces(conversationPrompt(messages, language.tokens), () => {
      throw new Error("no pictures");
    }),
  );
  const first = await interleave.prefill(messages, 200);
  const words = prompt.slice(asked.length);
  for (const id of words.slice(0, -1)) await feed(runtime, first.core, id);
  await interleave.prepare(words, { seed: 0, steps: 1 });
  const resumed = await interleave.resume(afterIds.length);
  if (resumed === undefined) throw new Error("the context has room");
  const { ids } = await answerGreedily(runtime, resumed);
  return { ids, expectedIds: afterIds };
}

/** The schedule's sigmas for 50 steps, without the last 0. */
export function compareSigmas(goldens: NexusGenGoldens): Compared {
  return {
    stage: "sigmas",
    actual: sigmas(50).subarray(0, 50),
    expected: values(goldens, "sigmas50"),
  };
}

function taskPrompt(
  { core }: OpenNexusGen,
  goldens: NexusGenGoldens,
  task: "draw" | "edit",
): PromptPart[] {
  const { tokens } = core.language;
  return task === "draw"
    ? drawingPrompt(goldens.json.draw.prompt, undefined, tokens)
    : drawingPrompt(goldens.json.edit.instruction, photoOf(goldens, 0), tokens);
}

function requestOf({ json, photos }: NexusGenGoldens, task: "draw" | "edit") {
  const { width, height, steps } = json;
  const prompt = task === "draw" ? json.draw.prompt : json.edit.instruction;
  return { prompt, width, height, steps, images: task === "draw" ? [] : photos.slice(0, 1) };
}

async function take({ stages }: OpenNexusGen, tensor: Tensor): Promise<TensorData> {
  const data = await stages.runtime.read(tensor);
  tensor.dispose();
  return data;
}
