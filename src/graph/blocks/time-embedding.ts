// A time in [0, 1] as a vector: sinusoids, then two linear layers (diffusers' Timesteps with the cosines
// first and TimestepEmbedding). Angles reach 1000: computed in f32 whatever the graph computes in.
// https://github.com/huggingface/diffusers/blob/v0.31.0/src/diffusers/models/embeddings.py#L27-L78
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { cos, mul, silu, sin } from "../ops/elementwise.ts";
import { cast, concat, reshape } from "../ops/movement.ts";
import { linear } from "./linear.ts";

/** Sizes of an embedding and the prefix of its checkpoint names. */
export interface TimeEmbeddingConfig {
  readonly prefix: string;
  /** Number of sinusoids, half cosines and half sines. */
  readonly width: number;
  readonly hidden: number;
}

// The networks were trained on times that run to 1000.
const TIME_SCALE = 1000;
const MAX_PERIOD = 10000;

/** time f32 [1] in [0, 1] -> [1, hidden]. */
export function timeEmbedding(
  g: GraphBuilder,
  time: Value,
  { prefix, width, hidden }: TimeEmbeddingConfig,
): Value {
  const half = width / 2;
  const frequencies = Float32Array.from({ length: half }, (_, i) =>
    Math.exp((-Math.log(MAX_PERIOD) * i) / half),
  );
  const tau = mul(g, reshape(g, time, [1, 1]), g.scalar(TIME_SCALE, "f32"));
  const angles = mul(g, tau, g.constant("f32", [1, half], frequencies)); // [1, width / 2]
  const waves = cast(g, concat(g, [cos(g, angles), sin(g, angles)], 1), g.float); // [1, width]
  const inner = linear(g, waves, layer(`${prefix}linear_1`, hidden));
  return linear(g, silu(g, inner), layer(`${prefix}linear_2`, hidden)); // [1, hidden]
}

function layer(name: string, out: number): { weight: string; bias: string; out: number } {
  return { weight: `${name}.weight`, bias: `${name}.bias`, out };
}
