// What a decoder is told about the picture, once for all its steps: the core's embeddings as context tokens
// (through the adapter, or merged with the picture that is edited), the branch without a prompt, and what its
// blocks are told about the times of a drawing.
// https://github.com/modelscope/Nexus-Gen/blob/fb49ff5/modeling/decoder/modules.py
import { fluxModulations } from "../../graph/blocks/flux-times.ts";
import { fluxContext } from "../../graph/blocks/flux.ts";
import { linear, plain, type LinearWeights } from "../../graph/blocks/linear.ts";
import { llamaLayer, attendWhole } from "../../graph/blocks/llama.ts";
import { layerNorm, rmsNorm } from "../../graph/blocks/norm.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { relu, silu } from "../../graph/ops/elementwise.ts";
import { cast, concat, reshape } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import { CONSTANTS, type DecoderConfig, type NexusGenConfig } from "./config.ts";

const ADAPTER_EPS = 1e-5;

/**
 * What 3.5, the guidance that FLUX was distilled with, is to its sinusoids: 1000 times as much in bfloat16,
 * in which the reference computes it.
 */
const EMBEDDED_GUIDANCE = 3504;

/** Embeddings f32 [1, grid * grid, hidden] -> context tokens [1, grid * grid, decoder's hidden]. */
export function adapterGraph(
  { language, grid }: NexusGenConfig,
  { flux, adapterPrefix }: DecoderConfig,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "adapter", ...options });
  const embeddings = g.input("embeddings", "f32", [1, grid ** 2, language.hiddenSize]);
  const layer = (index: number): LinearWeights => ({
    weight: `${adapterPrefix}${index}.weight`,
    bias: `${adapterPrefix}${index}.bias`,
    out: flux.contextSize,
  });
  const norm = (x: Value, index: number): Value =>
    layerNorm(g, x, { name: `${adapterPrefix}${index}`, eps: ADAPTER_EPS });
  const inner = relu(g, norm(linear(g, cast(g, embeddings, g.float), layer(0)), 1));
  const adapted = norm(linear(g, inner, layer(3)), 4);
  g.output("context", fluxContext(g, adapted, flux));
  return g.build();
}

/**
 * Embeddings f32 [1, grid * grid, hidden] and tokens of the edited picture [1, source grid squared, hidden] ->
 * context tokens of both, [1, both, decoder's hidden]. Every token sees every other.
 *
 * Declares the inputs `rope.cos`, `rope.sin` [both, head size / 2] and `positions` i64 [1, both] (0, 1, ...).
 */
export function mergerGraph(
  config: NexusGenConfig,
  { flux, adapterPrefix }: DecoderConfig,
  options: GraphOptions,
): Graph {
  const { language, grid, sourceGrid } = config;
  const g = new GraphBuilder({ name: "merger", ...options });
  const embeddings = g.input("embeddings", "f32", [1, grid ** 2, language.hiddenSize]);
  const source = g.input("source", g.float, [1, sourceGrid ** 2, language.hiddenSize]);
  const both = concat(g, [cast(g, embeddings, g.float), source], 1);
  const attend = attendWhole(g, language, grid ** 2 + sourceGrid ** 2);
  const merged = llamaLayer(g, both, language, {
    name: `${adapterPrefix}layers.0.`,
    layer: 0,
    attend,
  });

  const name = `${adapterPrefix}projector.`;
  const norm = (x: Value, index: number): Value =>
    rmsNorm(g, x, { weight: `${name}${index}.weight`, eps: language.rmsNormEps });
  const project = (x: Value, index: number, out: number): Value =>
    linear(g, x, { weight: `${name}${index}.weight`, bias: `${name}${index}.bias`, out });
  const wide = norm(project(norm(merged, 0), 1, flux.contextSize * config.mergerExpansion), 2);
  const projected = norm(project(silu(g, wide), 4, flux.contextSize), 5);
  g.output("context", fluxContext(g, projected, flux));
  return g.build();
}

/** Context tokens of the empty prompt, [1, length, decoder's hidden]. */
export function negativeGraph(
  { negativeLength }: NexusGenConfig,
  { flux }: DecoderConfig,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "negative", ...options });
  const negative = plain(g, `${CONSTANTS}negative`, [negativeLength, flux.contextSize]);
  const tokens = reshape(g, negative, [1, negativeLength, flux.contextSize]);
  g.output("negative", fluxContext(g, tokens, flux));
  return g.build();
}

/** Times f32 [times] (sigmas) -> what the decoder's blocks are told about them, one output for each. */
export function timesGraph(times: number, { flux }: DecoderConfig, options: GraphOptions): Graph {
  const g = new GraphBuilder({ name: "times", ...options });
  const pooled = plain(g, `${CONSTANTS}pooled`, [flux.pooledSize]);
  const vector = reshape(g, pooled, [1, flux.pooledSize]);
  fluxModulations(g, g.input("times", "f32", [times]), vector, EMBEDDED_GUIDANCE, flux);
  return g.build();
}

/** Positions [time, row, column] of the merger's tokens: both grids spread over the same square. */
export function mergerPositions({ grid, sourceGrid, mergerBaseGrid, vision }: NexusGenConfig) {
  return [grid, sourceGrid].flatMap((side) => {
    const step = mergerBaseGrid / (side * vision.mergeSize);
    return Array.from({ length: side ** 2 }, (_, token): [number, number, number] => [
      0,
      Math.floor(token / side) * step,
      (token % side) * step,
    ]);
  });
}
