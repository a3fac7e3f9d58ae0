// A time in [0, 1] as a vector: sinusoids, then two linear layers (diffusers' Timesteps with the cosines
// first and TimestepEmbedding). Angles reach 1000: computed in f32 whatever the graph computes in.
// https://github.com/huggingface/diffusers/blob/v0.31.0/src/diffusers/models/embeddings.py#L27-L78
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { add, floor, mul, silu, sub } from "../ops/elementwise.ts";
import { cast, reshape } from "../ops/movement.ts";
import { biased, linear, type LinearWeights } from "./linear.ts";

/** Sizes of an embedding and the prefix of its checkpoint names. */
export interface TimeEmbeddingConfig {
  readonly prefix: string;
  /** Number of sinusoids, half cosines and half sines. */
  readonly width: number;
  readonly hidden: number;
  /** What the sinusoids see of a time of 1; default 1000, to which diffusers' times run. */
  readonly scale?: number;
  /** Names of the two linear layers behind the prefix; default diffusers'. */
  readonly layers?: readonly [string, string];
  /** Never stored coarser than this; default: whatever the user asked for. */
  readonly keepAtLeast?: NonNullable<LinearWeights["keepAtLeast"]>;
}

const TIME_SCALE = 1000;
const MAX_PERIOD = 10000;

/** times f32 [times] in [0, 1] -> [times, hidden]. */
export function timeEmbedding(g: GraphBuilder, time: Value, config: TimeEmbeddingConfig): Value {
  const { prefix, width, hidden, scale = TIME_SCALE } = config;
  const [first, second] = config.layers ?? ["linear_1", "linear_2"];
  const tau = mul(g, reshape(g, time, [-1, 1]), g.scalar(scale, "f32"));
  const waves = cast(g, sinusoids(g, tau, width), g.float); // [times, width]
  const { keepAtLeast } = config;
  const kept = keepAtLeast === undefined ? {} : { keepAtLeast };
  const inner = linear(g, waves, { ...biased(`${prefix}${first}`, hidden), ...kept });
  return linear(g, silu(g, inner), { ...biased(`${prefix}${second}`, hidden), ...kept }); // [times, hidden]
}

const FULL_TURN = 2 * Math.PI;
// The turn in two parts: the first has 8 bits, so that its product with up to 160 turns is exact in f32.
const TURN_HIGH = 6.28125;
const TURN_LOW = FULL_TURN - TURN_HIGH;

/**
 * cos and then sin of tau [times, 1] * 10000^(-i / half), [times, width] f32.
 * Out of multiplications and additions only: WGSL lets sin and cos be wrong by 5e-4 in [-pi, pi] and by
 * anything beyond (SwiftShader's error at tau 930 cost the velocity 2e-4).
 */
function sinusoids(g: GraphBuilder, tau: Value, width: number): Value {
  const half = width / 2;
  const vector = (of: (index: number) => number): Value =>
    g.constant(
      "f32",
      [1, width],
      Float32Array.from({ length: width }, (_, index) => of(index)),
    );
  const number = (value: number): Value => g.scalar(value, "f32");
  // cos x = sin (x + a quarter turn)
  const quarter = (index: number): number => (index < half ? 0.25 : 0);
  const frequencies = vector((index) => MAX_PERIOD ** -((index % half) / half));
  const angles = mul(g, tau, frequencies);
  const turns = mul(g, angles, number(1 / FULL_TURN));
  const whole = floor(
    g,
    add(
      g,
      turns,
      vector((index) => quarter(index) + 0.5),
    ),
  );
  const excess = sub(g, whole, vector(quarter));
  const nearly = sub(g, angles, mul(g, excess, number(TURN_HIGH)));
  return sine(g, sub(g, nearly, mul(g, excess, number(TURN_LOW))));
}

// x^17 / 17! is the last term that f32 sees at pi.
const LAST_TERM = 17;

/** sin x for x in [-pi, pi] by its Taylor series: the error is below 1e-6. */
export function sine(g: GraphBuilder, x: Value): Value {
  const square = mul(g, x, x);
  let sum = g.scalar(1 / factorial(LAST_TERM), "f32");
  for (let term = LAST_TERM - 2; term > 0; term -= 2) {
    const sign = term % 4 === 1 ? 1 : -1;
    sum = add(g, mul(g, sum, square), g.scalar(sign / factorial(term), "f32"));
  }
  return mul(g, sum, x);
}

function factorial(n: number): number {
  return n < 2 ? 1 : n * factorial(n - 1);
}
