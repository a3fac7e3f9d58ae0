// What the core sees of a picture in the prompt: cropped to whole tokens, encoded, embedded.
import { present } from "../../base/assert.ts";
import type { Pixels } from "../../base/pixels.ts";
import { cropToGrid, toSignedPlanes } from "../../pixels/crop-to-grid.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import type { StageContext } from "../family.ts";
import { Recent } from "../recent.ts";
import type { OmniGenConfig } from "./config.ts";
import { encoderGraph, type LatentSize } from "./latents.ts";
import { pictureGraph } from "./patches.ts";
import { inputGrid } from "./plan.ts";
import { gridTensors } from "./tables.ts";

// Compiled sizes that are kept: an edit mostly has pictures of one size or two.
const KEPT_SIZES = 2;

/** The graphs for pictures of one size. */
interface Compiled {
  readonly encoder: Session;
  readonly embed: Session;
  readonly grid: ReturnType<typeof gridTensors>;
  dispose(): Promise<void>;
}

/** Turns pictures into features of the core. */
export class PictureReader {
  readonly #context: StageContext<OmniGenConfig>;
  readonly #compiled = new Recent<Compiled>(KEPT_SIZES);

  /** Weights must be loaded; graphs are compiled when a size is seen for the first time. */
  constructor(context: StageContext<OmniGenConfig>) {
    this.#context = context;
  }

  /** Features [1, tokens, hidden]; the caller disposes them. */
  async read(picture: Pixels): Promise<Tensor> {
    const { runtime, config } = this.#context;
    const raster = cropToGrid(picture, inputGrid(config));
    const pixelsPerLatent = config.tokenPixels / config.patchSize;
    const size = [raster.height / pixelsPerLatent, raster.width / pixelsPerLatent] as const;
    const { encoder, embed, grid } = await this.#compiled.get(size.join(), () =>
      this.#compile(size),
    );
    const shape = [1, 3, raster.height, raster.width];
    const pixels = runtime.createTensor("f32", shape, toSignedPlanes(raster));
    try {
      const { latents } = await encoder.run({ pixels });
      const encoded = present(latents, "latents");
      const { features } = await embed.run({ latents: encoded, ...grid });
      encoded.dispose();
      return present(features, "features");
    } finally {
      pixels.dispose();
    }
  }

  async dispose(): Promise<void> {
    await this.#compiled.dispose();
  }

  async #compile(size: LatentSize): Promise<Compiled> {
    const { runtime, weights, config, quantization } = this.#context;
    const options = { float: runtime.float, quantization };
    const encoder = await runtime.createSession(
      encoderGraph(config, size, options),
      weights.tensors,
    );
    const embed = await runtime.createSession(pictureGraph(config, size, options), weights.tensors);
    const grid = gridTensors(runtime, config, size);
    const dispose = async (): Promise<void> => {
      await encoder.dispose();
      await embed.dispose();
      for (const tensor of Object.values(grid)) tensor.dispose();
    };
    return { encoder, embed, grid, dispose };
  }
}
