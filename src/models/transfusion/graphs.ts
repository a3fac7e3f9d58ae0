// The transformer's graphs: ids and latents -> slots, slots behind a cache, one token, a picture's velocity.
import { embedding, linear } from "../../graph/blocks/linear.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/elementwise.ts";
import { cast, expand, slice } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import { attendCausal, attendMixed, attendPicture, cacheInputs } from "./attention.ts";
import type { TransfusionConfig } from "./config.ts";
import { enterSlots, leaveSlots, slotGrid, slotPositions, type Grid } from "./latents.ts";
import { vocabularySize } from "./prompt.ts";
import { timeCondition } from "./time-condition.ts";
import { transformer } from "./transformer.ts";

/** ids i32 [1, S] -> embeddings [1, S, dim]. */
export function embedGraph(config: TransfusionConfig, options: GraphOptions): Graph {
  const g = new GraphBuilder({ name: "embed", ...options });
  g.output("embeddings", embed(g, g.input("ids", "i32", [1, "S"]), config));
  return g.build();
}

/** latents f32 [rows, columns, numbers] of a picture -> embeddings [1, slots, dim]. */
export function enterGraph(config: TransfusionConfig, grid: Grid, options: GraphOptions): Graph {
  const g = new GraphBuilder({ name: "enter", ...options });
  const latents = g.input("latents", "f32", [...grid, config.latentSize]);
  const entered = enterSlots(g, cast(g, latents, g.float), config);
  g.output("embeddings", placed(g, entered, grid, config));
  return g.build();
}

/**
 * Embeddings [1, S, dim] of text and finished pictures behind what the cache holds -> logits f32
 * [1, 1, vocabulary] of the last slot. `pictures` f32 [1, S, 1] tells which slots are pictures', `bias` f32
 * [1, 1, S, capacity] what each slot sees of the cache, itself included, `positions` i64 [1, S] its number,
 * `time` f32 [1] the pictures'.
 */
export function extendGraph(
  config: TransfusionConfig,
  capacity: number,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "extend", ...options });
  const sizes = config.transformer;
  const embeddings = g.input("embeddings", g.float, [1, "S", sizes.dim]);
  const pictures = g.input("pictures", "f32", [1, "S", 1]);
  const bias = g.input("bias", "f32", [1, 1, "S", capacity]);
  const positions = g.input("positions", "i64", [1, "S"]);
  const condition = timeCondition(g, g.input("time", "f32", [1]), sizes);
  const cache = cacheInputs(g, sizes, capacity);
  const isPicture = cast(g, pictures, g.float);
  const attend = attendMixed(g, sizes, cache, { positions, bias });
  const slots = { kind: "mixed", condition, isPicture } as const;
  const hidden = transformer(g, embeddings, sizes, slots, attend);
  g.output("logits", head(g, slice(g, hidden, { axis: 1, start: -1 }), config));
  return g.build();
}

/** One token i32 [1, 1] -> logits f32 [1, 1, vocabulary]. Static shapes: this graph is captured. */
export function decodeGraph(
  config: TransfusionConfig,
  capacity: number,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "decode", ...options });
  const sizes = config.transformer;
  const token = embed(g, g.input("token", "i32", [1, 1]), config);
  const attend = attendCausal(g, sizes, cacheInputs(g, sizes, capacity));
  const hidden = transformer(g, token, sizes, { kind: "text" }, attend);
  g.output("logits", head(g, hidden, config));
  return g.build();
}

/**
 * latents f32 [rows, columns, numbers], time f32 [1], caches of each context -> velocity f32
 * [contexts, rows, columns, numbers]. Static shapes: this graph is captured.
 */
export function velocityGraph(
  config: TransfusionConfig,
  { grid, rows, capacity }: { grid: Grid; rows: number; capacity: number },
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "velocity", ...options });
  const sizes = config.transformer;
  const latents = g.input("latents", "f32", [...grid, config.latentSize]);
  const time = g.input("time", "f32", [1]);
  const condition = timeCondition(g, time, sizes);
  const entered = enterSlots(g, cast(g, latents, g.float), config);
  const [height, width] = slotGrid(config, grid);
  const slots = height * width;
  const shared = placed(g, entered, grid, config);
  const attend = attendPicture(g, sizes, { rows, capacity, slots });
  const x = expand(g, shared, [rows, slots, sizes.dim]);
  const hidden = transformer(g, x, sizes, { kind: "picture", condition }, attend);
  const velocity = leaveSlots(g, hidden, { entered, time, grid }, config);
  g.output("velocity", cast(g, velocity, "f32"));
  return g.build();
}

function placed(g: GraphBuilder, entered: Value, grid: Grid, config: TransfusionConfig): Value {
  if (!config.addPositions) return entered;
  return add(g, entered, slotPositions(g, slotGrid(config, grid), config));
}

function embed(g: GraphBuilder, ids: Value, config: TransfusionConfig): Value {
  const rows = vocabularySize(config);
  return embedding(g, ids, { weight: "text_embed.weight", rows, width: config.transformer.dim });
}

function head(g: GraphBuilder, hidden: Value, config: TransfusionConfig): Value {
  const layer = { weight: "to_text_logits.weight", out: vocabularySize(config) };
  return cast(g, linear(g, hidden, layer), "f32");
}
