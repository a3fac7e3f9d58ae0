// What FLUX's blocks are told about the time: a quarter of its weights, which depend on the times, the pooled
// text and the guidance alone. They work once for all steps of a drawing.
// https://github.com/modelscope/DiffSynth-Studio/blob/f0106cd4/diffsynth/models/flux_dit.py
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { add, silu } from "../ops/elementwise.ts";
import { cast } from "../ops/movement.ts";
import type { FluxConfig } from "./flux-config.ts";
import { biased, linear } from "./linear.ts";
import { timeEmbedding } from "./time-embedding.ts";

const WAVES = 256;
const MAX_PERIOD = 10000;

/** What blocks are told about the time: a linear layer, and how many parts [hidden] it has. */
export interface Modulation {
  /** Port of its outputs at all times, [times, parts * hidden]. */
  readonly port: string;
  readonly weight: string;
  readonly parts: number;
}

/** Every modulation of a transformer. */
export function fluxModulationsOf({ prefix, layers, singleLayers }: FluxConfig): Modulation[] {
  const of = (name: string, parts: number): Modulation => ({
    port: `modulation.${name}`,
    weight: `${prefix}${name}`,
    parts,
  });
  const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
  return [
    ...numbers(layers).flatMap((n) => [
      of(`blocks.${n}.norm1_a.linear`, 6),
      of(`blocks.${n}.norm1_b.linear`, 6),
    ]),
    ...numbers(singleLayers).map((n) => of(`single_blocks.${n}.norm.linear`, 3)),
    of("final_norm_out.linear", 2),
  ];
}

/**
 * What blocks are told about times f32 [times] (sigmas: 1 is noise), one output for each of
 * {@link fluxModulationsOf}. It depends on nothing else but the pooled text [1, pooled size] and `guidance`,
 * which no step changes: a quarter of the weights work once, not at every step.
 *
 * @param guidance - that the model was distilled with, in the unit of its sinusoids (1000 times the usual number)
 */
export function fluxModulations(
  g: GraphBuilder,
  times: Value,
  pooled: Value,
  guidance: number,
  config: FluxConfig,
): void {
  const time = timeEmbedding(g, times, {
    prefix: `${config.prefix}time_embedder.timestep_embedder.`,
    width: WAVES,
    hidden: config.hiddenSize,
    layers: ["0", "2"],
  });
  const steer = silu(g, add(g, time, fluxVector(g, pooled, guidance, config))); // [times, hidden]
  for (const { port, weight, parts } of fluxModulationsOf(config)) {
    g.output(port, linear(g, steer, biased(weight, parts * config.hiddenSize)));
  }
}

/**
 * What the time is added to, [1, hidden]: the pooled text [1, pooled size] and the guidance that the model
 * was distilled with.
 */
function fluxVector(
  g: GraphBuilder,
  pooled: Value,
  guidance: number,
  { prefix, hiddenSize }: FluxConfig,
): Value {
  const waves = cast(g, g.constant("f32", [1, WAVES], sinusoids(guidance)), g.float);
  const embedded = twoLayers(g, waves, `${prefix}guidance_embedder.timestep_embedder.`, hiddenSize);
  return add(g, embedded, twoLayers(g, pooled, `${prefix}pooled_text_embedder.`, hiddenSize));
}

function twoLayers(g: GraphBuilder, x: Value, name: string, hiddenSize: number): Value {
  const inner = linear(g, x, biased(`${name}0`, hiddenSize));
  return linear(g, silu(g, inner), biased(`${name}2`, hiddenSize));
}

/** cos and then sin of value * 10000^(-k / 128), in the reference's f32 steps. */
function sinusoids(value: number): Float32Array<ArrayBuffer> {
  const half = WAVES / 2;
  const angle = (k: number): number =>
    Math.fround(value * Math.fround(Math.exp(Math.fround((-Math.log(MAX_PERIOD) * k) / half))));
  return Float32Array.from({ length: WAVES }, (_, k) =>
    k < half ? Math.cos(angle(k)) : Math.sin(angle(k - half)),
  );
}
