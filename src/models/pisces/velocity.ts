// Pisces' field: SDXL's UNet over the vectors that the core has emitted. In sigmas the predicted noise is the
// velocity.
import { unet } from "../../graph/blocks/unet.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/elementwise.ts";
import { cast, reshape, split } from "../../graph/ops/movement.ts";
import { reduceMean } from "../../graph/ops/reduction.ts";
import { present } from "../../base/assert.ts";
import type { GraphOptions } from "../family.ts";
import type { PiscesConfig } from "./config.ts";

/** Rows of guidance, and the picture's size in pixels. */
export interface FieldSize {
  readonly rows: number;
  readonly width: number;
  readonly height: number;
}

/** [channels, height, width] of a picture's latents. */
export function latentShape(
  { unet: { latentChannels }, latentScale }: PiscesConfig,
  { width, height }: Pick<FieldSize, "width" | "height">,
): [number, number, number] {
  return [latentChannels, height / latentScale, width / latentScale];
}

/**
 * latents f32 [1, channels, height, width], time f32 [2] (flow/euler-discrete.ts), conditions
 * [rows, vectors, vector size] -> velocity f32 [rows, channels, height, width].
 */
export function velocityGraph(config: PiscesConfig, size: FieldSize, options: GraphOptions): Graph {
  const { vectors, vectorSize } = config;
  const { rows, width, height } = size;
  const g = new GraphBuilder({ name: "velocity", ...options });
  const latents = g.input("latents", "f32", [1, ...latentShape(config, size)]);
  const [scale, time] = split(g, g.input("time", "f32", [2]), 2, 0);
  const context = g.input("conditions", g.float, [rows, vectors, vectorSize]);
  const velocity = unet(
    g,
    {
      latents: cast(g, mul(g, latents, present(scale, "scale")), g.float),
      time: present(time, "time"),
      context,
      pooled: reshape(g, reduceMean(g, context, [1]), [rows, vectorSize]),
      timeIds: [height, width, 0, 0, height, width],
    },
    config.unet,
  );
  g.output("velocity", cast(g, velocity, "f32"));
  return g.build();
}
