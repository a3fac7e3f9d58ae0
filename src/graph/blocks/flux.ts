// FLUX's diffusion transformer: two streams (picture, context) that attend together, then one stream. The
// names are DiffSynth's, under which Nexus-Gen's decoders are published. Several rows of one picture (with and
// without the prompt) run as one sequence: every linear layer sees all rows, only attention keeps them apart.
// https://github.com/modelscope/DiffSynth-Studio/blob/f0106cd4/diffsynth/models/flux_dit.py
import { assert, present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { multiHeadAttention, rotaryEmbedding } from "../ops/attention.ts";
import { add, geluTanh, mul } from "../ops/elementwise.ts";
import {
  cast,
  concat,
  gatherRows,
  pixelShuffle,
  reshape,
  split,
  splitSizes,
  transpose,
} from "../ops/movement.ts";
import { layerNormalization } from "../ops/reduction.ts";
import { fixed, imageSizes } from "../ops/sizes.ts";
import { biased, linear } from "./linear.ts";
import { rmsNorm } from "./norm.ts";
import type { FluxConfig } from "./flux-config.ts";
import { fluxModulationsOf } from "./flux-times.ts";

/** What changes from call to call. */
export interface FluxInputs {
  /** f32 [1, channels, height, width], the same for every row. */
  readonly latents: Value;
  /** f32 [1]: which of the times that were modulated. */
  readonly step: Value;
  /** Times that were modulated. */
  readonly steps: number;
  /** {@link fluxContext} of all rows one after the other, [1, sum of lengths, hidden]. */
  readonly context: Value;
  /** Context tokens of each row. */
  readonly lengths: readonly number[];
}

const MAX_PERIOD = 10000;
const MLP_RATIO = 4;
const PATCH = 2;
const EPS = 1e-6;

/** How the rows lie in the joint sequence: context and picture of each row in turn. */
interface Layout {
  readonly lengths: readonly number[];
  /** Picture tokens of one row. */
  readonly tokens: number;
}

/** Attends over the joint sequence, each row by itself. */
type Attend = (q: Value, k: Value, v: Value) => Value;

/** Context [1, length, context size] -> tokens [1, length, hidden]; the same at every time. */
export function fluxContext(g: GraphBuilder, context: Value, config: FluxConfig): Value {
  return linear(g, context, biased(`${config.prefix}context_embedder`, config.hiddenSize));
}

/**
 * Velocity (noise minus data) of every row, f32 [rows, channels, height, width].
 *
 * Declares an input [steps, parts * hidden] for each of {@link fluxModulationsOf}, and the inputs `rope.cos`
 * and `rope.sin` [slots, head size / 2] and `positions` i64 [1, slots] (0, 1, ...): the angles of context and
 * picture tokens of each row in turn ({@link fluxAngles}).
 */
export function fluxVelocity(g: GraphBuilder, inputs: FluxInputs, config: FluxConfig): Value {
  const { prefix, hiddenSize, latentChannels } = config;
  const [, , height, width] = imageSizes(inputs.latents);
  const layout = { lengths: inputs.lengths, tokens: (height / PATCH) * (width / PATCH) };
  const rows = layout.lengths.length;
  const steer = modulationAt(g, inputs, config);
  const attend = attendRows(g, config, layout);

  const patches = toPatches(g, cast(g, inputs.latents, g.float));
  const embedded = linear(g, patches, biased(`${prefix}x_embedder`, hiddenSize));
  let picture =
    rows === 1
      ? embedded
      : concat(
          g,
          layout.lengths.map(() => embedded),
          1,
        );
  let context = inputs.context;
  for (let layer = 0; layer < config.layers; layer++) {
    const block = { config, place: `blocks.${layer}.`, steer };
    [picture, context] = doubleBlock(g, picture, context, block, layout, attend);
  }
  let joint = interleave(g, context, picture, layout);
  for (let layer = 0; layer < config.singleLayers; layer++) {
    const block = { config, place: `single_blocks.${layer}.`, steer };
    joint = singleBlock(g, joint, block, attend);
  }
  const [, last] = separate(g, joint, layout);
  // DiffSynth stores the scale first, unlike the blocks.
  const [scale, shift] = steer("final_norm_out.linear");
  const normed = modulated(g, last, present(scale, "scale"), present(shift, "shift"));
  const features = latentChannels * PATCH * PATCH;
  const out = linear(g, normed, biased(`${prefix}final_proj_out`, features));
  return cast(g, fromPatches(g, out, [rows, latentChannels, height, width]), "f32");
}

/** cos and sin for positions (one number an axis) of slots, [slots, head size / 2] each; angles in f64. */
export function fluxAngles(
  positions: readonly (readonly number[])[],
  axesDims: readonly number[],
): { readonly cos: Float32Array<ArrayBuffer>; readonly sin: Float32Array<ArrayBuffer> } {
  const frequencies = axesDims.flatMap((size, axis) =>
    Array.from({ length: size / 2 }, (_, k) => ({ axis, omega: MAX_PERIOD ** ((-2 * k) / size) })),
  );
  const angles = positions.flatMap((position) =>
    frequencies.map(({ axis, omega }) => (position[axis] ?? 0) * omega),
  );
  return {
    cos: Float32Array.from(angles, Math.cos),
    sin: Float32Array.from(angles, Math.sin),
  };
}

interface Block {
  readonly config: FluxConfig;
  /** Its checkpoint names behind the model's prefix. */
  readonly place: string;
  readonly steer: Steer;
}

/** The parts [hidden] of a modulation at the current step, by its name behind the prefix. */
type Steer = (name: string) => Value[];

function doubleBlock(
  g: GraphBuilder,
  picture: Value,
  context: Value,
  { config, place, steer }: Block,
  layout: Layout,
  attend: Attend,
): [Value, Value] {
  const name = `${config.prefix}${place}`;
  const streams = (["a", "b"] as const).map((stream) => {
    const x = stream === "a" ? picture : context;
    const [shift, scale, gate, shift2, scale2, gate2] = steer(`${place}norm1_${stream}.linear`);
    const normed = modulated(g, x, present(scale, "scale"), present(shift, "shift"));
    const qkv = linear(g, normed, biased(`${name}attn.${stream}_to_qkv`, 3 * config.hiddenSize));
    const [q, k, v] = split(g, qkv, 3, 2).map((part) => present(part, "qkv"));
    return {
      stream,
      x,
      q: headNorm(g, present(q, "q"), `${name}attn.norm_q_${stream}.weight`, config),
      k: headNorm(g, present(k, "k"), `${name}attn.norm_k_${stream}.weight`, config),
      v: present(v, "v"),
      gate: present(gate, "gate"),
      behind: { shift: shift2, scale: scale2, gate: gate2 },
    };
  });
  const [a, b] = [present(streams[0], "picture"), present(streams[1], "context")];
  const join = (part: "q" | "k" | "v"): Value => interleave(g, b[part], a[part], layout);
  const [fromContext, fromPicture] = separate(g, attend(join("q"), join("k"), join("v")), layout);
  const finish = ({ stream, x, gate, behind }: typeof a, attended: Value): Value => {
    const out = linear(g, attended, biased(`${name}attn.${stream}_to_out`, config.hiddenSize));
    const y = add(g, x, mul(g, out, gate));
    const { shift, scale } = behind;
    const normed = modulated(g, y, present(scale, "scale"), present(shift, "shift"));
    const inner = biased(`${name}ff_${stream}.0`, MLP_RATIO * config.hiddenSize);
    const outer = biased(`${name}ff_${stream}.2`, config.hiddenSize);
    const fed = linear(g, geluTanh(g, linear(g, normed, inner)), outer);
    return add(g, y, mul(g, fed, present(behind.gate, "gate")));
  };
  return [finish(a, fromPicture), finish(b, fromContext)];
}

function singleBlock(
  g: GraphBuilder,
  x: Value,
  { config, place, steer }: Block,
  attend: Attend,
): Value {
  const { prefix, hiddenSize } = config;
  const name = `${prefix}${place}`;
  const [shift, scale, gate] = steer(`${place}norm.linear`);
  const normed = modulated(g, x, present(scale, "scale"), present(shift, "shift"));
  const fused = linear(g, normed, biased(`${name}to_qkv_mlp`, (3 + MLP_RATIO) * hiddenSize));
  const sizes = [hiddenSize, hiddenSize, hiddenSize, MLP_RATIO * hiddenSize];
  const [q, k, v, mlp] = splitSizes(g, fused, sizes, 2).map((part) => present(part, "part"));
  const attended = attend(
    headNorm(g, present(q, "q"), `${name}norm_q_a.weight`, config),
    headNorm(g, present(k, "k"), `${name}norm_k_a.weight`, config),
    present(v, "v"),
  );
  const both = concat(g, [attended, geluTanh(g, present(mlp, "mlp"))], 2);
  const out = linear(g, both, biased(`${name}proj_out`, hiddenSize));
  return add(g, x, mul(g, out, present(gate, "gate")));
}

function attendRows(g: GraphBuilder, config: FluxConfig, { lengths, tokens }: Layout): Attend {
  const { heads, hiddenSize } = config;
  const half = hiddenSize / heads / 2;
  const sizes = lengths.map((length) => length + tokens);
  const slots = sizes.reduce((sum, size) => sum + size, 0);
  const tables = {
    cos: g.input("rope.cos", g.float, [slots, half]),
    sin: g.input("rope.sin", g.float, [slots, half]),
  };
  const positions = g.input("positions", "i64", [1, slots]);
  const rotate = (x: Value): Value => rotaryEmbedding(g, x, positions, tables, heads, true);
  return (q, k, v) => {
    const parts = [rotate(q), rotate(k), v].map((x) =>
      sizes.length === 1 ? [x] : splitSizes(g, x, sizes, 1),
    );
    const rows = sizes.map((_, row) => {
      const [rowQ, rowK, rowV] = parts.map((part) => present(part[row], "row"));
      const inputs = { q: present(rowQ, "q"), k: present(rowK, "k"), v: present(rowV, "v") };
      return multiHeadAttention(g, inputs, heads);
    });
    return rows.length === 1 ? present(rows[0], "row") : concat(g, rows, 1);
  };
}

/** Streams of all rows -> context and picture of each row in turn. */
function interleave(
  g: GraphBuilder,
  context: Value,
  picture: Value,
  { lengths, tokens }: Layout,
): Value {
  if (lengths.length === 1) return concat(g, [context, picture], 1);
  const contexts = splitSizes(g, context, lengths, 1);
  const pictures = splitSizes(
    g,
    picture,
    lengths.map(() => tokens),
    1,
  );
  const turns = contexts.flatMap((part, row) => [part, present(pictures[row], "row")]);
  return concat(g, turns, 1);
}

/** The inverse of {@link interleave}: [context, picture]. */
function separate(g: GraphBuilder, joint: Value, { lengths, tokens }: Layout): [Value, Value] {
  const parts = splitSizes(
    g,
    joint,
    lengths.flatMap((length) => [length, tokens]),
    1,
  );
  const every = (offset: number): Value => {
    const own = parts.filter((_, index) => index % 2 === offset);
    return own.length === 1 ? present(own[0], "part") : concat(g, own, 1);
  };
  return [every(0), every(1)];
}

/** Reads the modulations of the current step. */
function modulationAt(g: GraphBuilder, { step, steps }: FluxInputs, config: FluxConfig): Steer {
  const { hiddenSize } = config;
  const index = cast(g, step, "i64"); // [1]
  const known = new Map(fluxModulationsOf(config).map((one) => [one.port, one]));
  return (name) => {
    const { port, parts } = present(known.get(`modulation.${name}`), name);
    const table = g.input(port, g.float, [steps, parts * hiddenSize]);
    const row = reshape(g, gatherRows(g, table, index), [parts * hiddenSize]);
    return split(g, row, parts, 0);
  };
}

/** norm(x) * (1 + scale) + shift: a layer norm whose weights come from the time. */
function modulated(g: GraphBuilder, x: Value, scale: Value, shift: Value): Value {
  return layerNormalization(g, x, add(g, scale, g.scalar(1)), shift, EPS);
}

function headNorm(g: GraphBuilder, x: Value, weight: string, config: FluxConfig): Value {
  const [rows, slots, width] = x.shape.map(fixed);
  const size = fixed(width) / config.heads;
  const heads = reshape(g, x, [fixed(rows), fixed(slots), config.heads, size]);
  return reshape(g, rmsNorm(g, heads, { weight, eps: EPS }), x.shape);
}

/** [1, channels, height, width] -> [1, patches, channels * 4], the channel slowest. */
function toPatches(g: GraphBuilder, latents: Value): Value {
  const [, channels, height, width] = imageSizes(latents);
  const even = height % PATCH === 0 && width % PATCH === 0;
  assert(even, `latents of ${width} x ${height} are cut into patches`);
  const [rows, columns] = [height / PATCH, width / PATCH];
  const cut = reshape(g, latents, [channels, rows, PATCH, columns, PATCH]);
  const turned = transpose(g, cut, [1, 3, 0, 2, 4]);
  return reshape(g, turned, [1, rows * columns, channels * PATCH * PATCH]);
}

/**
 * The inverse for several rows. Its last operation computes: one that only renames the shape would be a copy
 * into the graph's output, which a captured run does not repeat.
 */
function fromPatches(
  g: GraphBuilder,
  patches: Value,
  [count, channels, height, width]: readonly [number, number, number, number],
): Value {
  const features = channels * PATCH * PATCH;
  const grid = reshape(g, patches, [count, height / PATCH, width / PATCH, features]);
  return pixelShuffle(g, transpose(g, grid, [0, 3, 1, 2]), PATCH);
}
