// Pictures into slots and latents into pictures, compiled for the last few sizes.
import { present } from "../../base/assert.ts";
import type { Pixels } from "../../base/pixels.ts";
import { dropAlpha } from "../../pixels/preprocess.ts";
import { resizeBicubic } from "../../pixels/resize.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import type { Graph } from "../../graph/graph.ts";
import type { StageContext } from "../family.ts";
import { readPicture } from "../read-picture.ts";
import { Recent } from "../recent.ts";
import type { TransfusionConfig } from "./config.ts";
import { enterGraph } from "./graphs.ts";
import { decoderGraph, encoderGraph, pixelsPerPosition, type Grid } from "./latents.ts";

// Sizes of which the graphs are kept, of each kind.
const KEPT_SIZES = 2;

/** The ways between pictures, latents and slots. */
export class Pictures {
  readonly #context: StageContext<TransfusionConfig>;
  readonly #encoders = new Recent<Session>(KEPT_SIZES);
  readonly #enters = new Recent<Session>(KEPT_SIZES);
  readonly #decoders = new Recent<Session>(KEPT_SIZES);

  constructor(context: StageContext<TransfusionConfig>) {
    this.#context = context;
  }

  /** A given picture in a grid's size -> latents f32 [rows, columns, numbers]; the caller's to dispose. */
  async encode(picture: Pixels, grid: Grid): Promise<Tensor> {
    const { runtime, config, quantization } = this.#context;
    const encoder = await this.#session(this.#encoders, grid, () =>
      encoderGraph(config, grid, { quantization }),
    );
    const side = pixelsPerPosition(config);
    const [height, width] = [grid[0] * side, grid[1] * side];
    const values = signedPlanes(picture, width, height);
    const pixels = runtime.createTensor("f32", [1, 3, height, width], values);
    const { latents } = await encoder.run({ pixels });
    pixels.dispose();
    return present(latents, "latents");
  }

  /** Latents [rows, columns, numbers] of a finished picture -> embeddings [1, slots, dim]; the caller's. */
  async enter(latents: Tensor, grid: Grid): Promise<Tensor> {
    const { runtime, config, quantization } = this.#context;
    const session = await this.#session(this.#enters, grid, () =>
      enterGraph(config, grid, { float: runtime.float, quantization }),
    );
    const { embeddings } = await session.run({ latents });
    return present(embeddings, "embeddings");
  }

  /** Latents -> picture. Reads back once. */
  async decode(latents: Tensor, grid: Grid): Promise<Pixels> {
    const { runtime, config, quantization } = this.#context;
    const decoder = await this.#session(this.#decoders, grid, () =>
      decoderGraph(config, grid, { quantization }),
    );
    const { image } = await decoder.run({ latents });
    return readPicture(runtime, present(image, "image"), "round");
  }

  async dispose(): Promise<void> {
    for (const sessions of [this.#encoders, this.#enters, this.#decoders]) await sessions.dispose();
  }

  #session(sessions: Recent<Session>, grid: Grid, graph: () => Graph): Promise<Session> {
    const { runtime, weights } = this.#context;
    return sessions.get(grid.join("x"), () => runtime.createSession(graph(), weights.tensors));
  }
}

/** A picture as [3, height, width] in [-1, 1]; another size is reached by Pillow's bicubic. */
export function signedPlanes(
  picture: Pixels,
  width: number,
  height: number,
): Float32Array<ArrayBuffer> {
  const { data, channels } = resizeBicubic(dropAlpha(picture), width, height);
  const area = width * height;
  return Float32Array.from({ length: channels * area }, (_, at) => {
    const value = data[(at % area) * channels + Math.floor(at / area)] ?? 0;
    return (value / 255) * 2 - 1;
  });
}
