// Context tokens -> picture: FLUX's transformer as the velocity of a flow over latents, and its autoencoder.
import type { FluxConfig } from "../../graph/blocks/flux-config.ts";
import { fluxVelocity } from "../../graph/blocks/flux.ts";
import { vaeDecoder } from "../../graph/blocks/vae.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { add, mul } from "../../graph/ops/elementwise.ts";
import type { GraphOptions } from "../family.ts";
import type { NexusGenConfig } from "./config.ts";

/** What a velocity graph is compiled for. */
export interface FieldShape {
  /** [channels, height, width] */
  readonly latentShape: readonly [number, number, number];
  /** Context tokens of each row. */
  readonly lengths: readonly number[];
  /** Times of a drawing. */
  readonly steps: number;
}

/**
 * latents f32 [1, channels, height, width], time f32 [1] (the number of the step), context [1, sum of lengths,
 * hidden], modulations of every step -> velocity f32 [rows, channels, height, width].
 */
export function velocityGraph(
  flux: FluxConfig,
  { latentShape, lengths, steps }: FieldShape,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "velocity", ...options });
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const inputs = {
    latents: g.input("latents", "f32", [1, ...latentShape]),
    step: g.input("time", "f32", [1]),
    steps,
    context: g.input("context", g.float, [1, total, flux.hiddenSize]),
    lengths,
  };
  g.output("velocity", fluxVelocity(g, inputs, flux));
  return g.build();
}

/**
 * latents f32 [1, channels, height, width] -> image f32 [1, 3, 8 height, 8 width], nominally in [-1, 1].
 * Computed in f32: f16 overflows in this autoencoder's attention.
 */
export function pictureGraph(
  { vae, vaeScalingFactor, vaeShiftFactor }: NexusGenConfig,
  latentShape: FieldShape["latentShape"],
  { quantization }: Pick<GraphOptions, "quantization">,
): Graph {
  const g = new GraphBuilder({ name: "picture", float: "f32", quantization, companion: "vae" });
  const latents = g.input("latents", "f32", [1, ...latentShape]);
  const scaled = mul(g, latents, g.scalar(1 / vaeScalingFactor));
  g.output("image", vaeDecoder(g, add(g, scaled, g.scalar(vaeShiftFactor)), vae));
  return g.build();
}

/**
 * Positions [kind, row, column] of every slot of a field: of each row the context, then the picture.
 *
 * @param contexts - positions of each row's context tokens
 */
export function fieldPositions(
  [, height, width]: FieldShape["latentShape"],
  contexts: readonly (readonly (readonly number[])[])[],
): (readonly number[])[] {
  const [rows, columns] = [height / 2, width / 2];
  const picture = Array.from({ length: rows * columns }, (_, token) => [
    0,
    Math.floor(token / columns),
    token % columns,
  ]);
  return contexts.flatMap((context) => [...context, ...picture]);
}

/** Positions of context tokens that stand nowhere: those of a drawing, and of the empty prompt. */
export function unplaced(length: number): number[][] {
  return Array.from({ length }, () => [0, 0, 0]);
}

/**
 * Positions of an edit's context tokens: both grids spread over the picture, the edited one marked by a 1.
 * Rounded to bfloat16, as the reference does before it rotates.
 *
 * @see https://github.com/modelscope/Nexus-Gen/blob/fb49ff5/modeling/decoder/pipelines.py#L200
 */
export function editPositions(
  [, height, width]: FieldShape["latentShape"],
  grids: readonly number[],
): number[][] {
  return grids.flatMap((side, kind) =>
    Array.from({ length: side ** 2 }, (_, token) => [
      kind,
      toBfloat16((Math.floor(token / side) * height) / (2 * side)),
      toBfloat16(((token % side) * width) / (2 * side)),
    ]),
  );
}

/**
 * Sigmas of a drawing, steps + 1 values from 1 to 0: evenly spaced to 0.003 / 1.002, then bent towards noise
 * by a shift of 3.
 *
 * @see https://github.com/modelscope/DiffSynth-Studio/blob/f0106cd4/diffsynth/schedulers/flow_match.py
 */
export function sigmas(steps: number): Float32Array<ArrayBuffer> {
  const [start, end, shift] = [1, 0.003 / 1.002, 3];
  const step = steps === 1 ? 0 : (end - start) / (steps - 1);
  return Float32Array.from({ length: steps + 1 }, (_, k) => {
    if (k === steps) return 0;
    const even = start + k * step;
    return (shift * even) / (1 + (shift - 1) * even);
  });
}

function toBfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  const word = bits[0] ?? 0;
  // round to nearest, ties to even
  bits[0] = (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0] ?? 0;
}
