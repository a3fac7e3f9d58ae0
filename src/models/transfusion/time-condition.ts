// A picture's time as the vector that steers every layer: random Fourier features, one linear layer, SiLU.
// Angles reach many turns and WGSL's sin and cos are coarse even in the first: computed in f32 by a series.
import { linear, plain } from "../../graph/blocks/linear.ts";
import { sine } from "../../graph/blocks/time-embedding.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/graph.ts";
import { add, floor, mul, silu, sub } from "../../graph/ops/elementwise.ts";
import { cast, concat, reshape } from "../../graph/ops/movement.ts";
import type { TransformerConfig } from "./config.ts";

const NAME = "transformer.to_time_cond.";
const FULL_TURN = 2 * Math.PI;
const QUARTER = 0.25;

/** time f32 [1] in [0, 1] -> condition [1, 4 dim]. */
export function timeCondition(g: GraphBuilder, time: Value, { dim }: TransformerConfig): Value {
  const frequencies = cast(g, plain(g, `${NAME}0.weights`, [dim / 2]), "f32");
  const tau = reshape(g, time, [1, 1]);
  const turns = mul(g, tau, reshape(g, frequencies, [1, dim / 2]));
  const sines = sineOfTurns(g, turns);
  const cosines = sineOfTurns(g, add(g, turns, g.scalar(QUARTER, "f32")));
  const features = cast(g, concat(g, [tau, sines, cosines], 1), g.float); // [1, dim + 1]
  const layer = { weight: `${NAME}1.weight`, bias: `${NAME}1.bias`, out: 4 * dim };
  return silu(g, linear(g, features, { ...layer, keepAtLeast: "f16" }));
}

/** sin(2 pi x): whole turns are taken off before they become angles, which is exact. */
function sineOfTurns(g: GraphBuilder, x: Value): Value {
  const whole = floor(g, add(g, x, g.scalar(0.5, "f32")));
  return sine(g, mul(g, sub(g, x, whole), g.scalar(FULL_TURN, "f32")));
}
