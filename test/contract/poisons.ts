// What a broken weight of each stage does in each family's tiny checkpoint. Weights that no task's numbers pass are
// not here: nothing can come of them.
import type { Place, Poison, Task } from "./family-calls.ts";

type Breaks = Poison["breaks"];

/** The same place in the errors of some tasks. */
function at(place: Place, ...tasks: readonly Task[]): Breaks {
  return Object.fromEntries(tasks.map((task) => [task, place]));
}

/** A decoder between latents or codes and pixels: broken from its first weight, and deaf behind its last. */
function decoder(first: string, last: string, tasks: readonly Task[]): readonly Poison[] {
  return [
    { stage: "decoder", part: first, breaks: at("x", ...tasks) },
    { stage: "decoder, one colour", part: last, value: 0, breaks: at("pixels", ...tasks) },
  ];
}

/** A head of text whose logits are all 0. */
function silentHead(part: string, tasks: readonly Task[]): Poison {
  return { stage: "head, all logits 0", part, value: 0, breaks: at("step", ...tasks) };
}

const TEXT = ["write", "see"] as const;
const PICTURES = ["draw", "edit", "converse"] as const;

/** Of the tiny checkpoint. */
export const JANUS_FLOW: readonly Poison[] = [
  {
    stage: "seen picture",
    part: "vision_und_enc_model.vision_tower.patch_embed.proj.weight",
    breaks: at("step", "see"),
  },
  {
    stage: "core",
    part: "language_model.model.layers.0.self_attn.q_proj.weight",
    breaks: at("step", ...TEXT, "draw"),
  },
  silentHead("language_model.lm_head.weight", TEXT),
  {
    stage: "velocity",
    part: "vision_gen_dec_model.out_convs.0.unpatch_conv.weight",
    breaks: at("step", "draw"),
  },
  {
    stage: "decoder's attention",
    part: "vae/decoder.mid_block.attentions.0.to_q.weight",
    breaks: at("x", "draw"),
  },
  ...decoder("vae/post_quant_conv.weight", "vae/decoder.conv_out.weight", ["draw"]),
];

/** Of the tiny checkpoint. */
export const JANUS: readonly Poison[] = [
  {
    stage: "seen picture",
    part: "vision_model.vision_tower.patch_embed.proj.weight",
    breaks: at("step", "see"),
  },
  {
    stage: "core",
    part: "language_model.model.layers.0.self_attn.k_proj.weight",
    breaks: at("step", ...TEXT, "draw"),
  },
  silentHead("language_model.lm_head.weight", TEXT),
  { stage: "codes", part: "gen_head.vision_head.weight", breaks: at("step", "draw") },
  { stage: "codes fed back", part: "gen_embed.weight", breaks: at("step", "draw"), from: 2 },
  ...decoder(
    "gen_vision_model.quantize.embedding.weight",
    "gen_vision_model.decoder.conv_out.weight",
    ["draw"],
  ),
];

/** Of the tiny checkpoint. */
export const OMNIGEN: readonly Poison[] = [
  { stage: "seen picture", part: "vae/encoder.conv_in.weight", breaks: at("step", "edit") },
  {
    stage: "core",
    part: "llm.layers.0.input_layernorm.weight",
    breaks: at("step", "draw", "edit"),
  },
  { stage: "velocity", part: "final_layer.linear.weight", breaks: at("step", "draw", "edit") },
  ...decoder("vae/post_quant_conv.weight", "vae/decoder.conv_out.weight", ["draw", "edit"]),
];

/** Of the tiny checkpoint. */
export const NEXUS_GEN: readonly Poison[] = [
  {
    stage: "seen picture",
    part: "visual.patch_embed.proj.weight",
    breaks: { ...at("step", "see"), ...at("embedding", "edit") },
  },
  {
    stage: "core",
    part: "model.layers.0.self_attn.q_proj.weight",
    breaks: { ...at("step", ...TEXT, "converse"), ...at("embedding", "draw", "edit") },
  },
  silentHead("lm_head.weight", [...TEXT, "converse"]),
  { stage: "embeddings", part: "vision_head.weight", breaks: at("embedding", ...PICTURES) },
  // Before its relu, which would make zeros of it.
  {
    stage: "adapter",
    part: "generation_decoder/adapter.0.weight",
    breaks: at("step", "draw", "converse"),
  },
  {
    stage: "merger",
    part: "edit_decoder/embedding_merger.layers.0.self_attn.q_proj.weight",
    breaks: at("step", "edit"),
  },
  {
    stage: "velocity",
    part: "generation_decoder/pipe.dit.final_proj_out.weight",
    breaks: at("step", "draw", "converse"),
  },
  {
    stage: "velocity of edits",
    part: "edit_decoder/pipe.dit.final_proj_out.weight",
    breaks: at("step", "edit"),
  },
  ...decoder("vae/decoder.conv_in.weight", "vae/decoder.conv_out.weight", PICTURES),
];

/** Of the tiny checkpoint. */
export const CHAMELEON: readonly Poison[] = [
  {
    stage: "seen picture",
    part: "model.vqmodel.encoder.conv_in.weight",
    breaks: at("code", "see", "edit"),
  },
  {
    stage: "codebook",
    part: "model.vqmodel.quantize.embedding.weight",
    breaks: { ...at("code", "see", "edit"), ...at("x", "draw", "converse") },
  },
  {
    stage: "core",
    part: "model.layers.0.self_attn.q_proj.weight",
    breaks: at("step", ...TEXT, ...PICTURES),
  },
  silentHead("lm_head.weight", [...TEXT, ...PICTURES]),
  ...decoder(
    "model.vqmodel.decoder.conv_in.weight",
    "model.vqmodel.decoder.conv_out.weight",
    PICTURES,
  ),
];

/** Of the tiny checkpoint. */
export const TRANSFUSION: readonly Poison[] = [
  { stage: "seen picture", part: "vae/encoder.conv_in.weight", breaks: at("step", "see", "edit") },
  {
    stage: "entrance of latents",
    part: "latent_to_model_projs.0.weight",
    breaks: at("step", "see", ...PICTURES),
  },
  {
    stage: "core",
    part: "transformer.layers.0.1.fn.to_qk.0.weight",
    breaks: at("step", ...TEXT, ...PICTURES),
  },
  silentHead("to_text_logits.weight", [...TEXT, "converse"]),
  { stage: "velocity", part: "model_to_latent_projs.0.weight", breaks: at("step", ...PICTURES) },
  ...decoder("vae/post_quant_conv.weight", "vae/decoder.conv_out.weight", PICTURES),
];

/** Of the tiny checkpoint. */
export const PISCES: readonly Poison[] = [
  {
    stage: "seen picture",
    part: "vision_tower.vision_model.embeddings.patch_embedding.weight",
    breaks: at("step", "see"),
  },
  {
    stage: "core",
    part: "language_model.model.layers.0.self_attn.q_proj.weight",
    breaks: { ...at("step", ...TEXT), ...at("vector", "draw") },
  },
  silentHead("language_model.lm_head.weight", TEXT),
  { stage: "vectors", part: "generation_head.weight", breaks: at("vector", "draw") },
  {
    stage: "vectors fed back",
    part: "generation_projector.linear_1.weight",
    breaks: at("vector", "draw"),
    from: 2,
  },
  { stage: "velocity", part: "unet.conv_out.weight", breaks: at("step", "draw") },
  ...decoder("vae/post_quant_conv.weight", "vae/decoder.conv_out.weight", ["draw"]),
];
