// Pictures <-> ids: a VQ-GAN between pixels and the nearest vectors of a codebook. Always computed in f32,
// as the reference keeps it: which vector is nearest hangs on small differences.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/image_tokenizer.py
import { assert, present } from "../../base/assert.ts";
import type { Pixels } from "../../base/pixels.ts";
import { codeVectors, nearestCodes, readCodes } from "../../graph/blocks/codebook.ts";
import { vaeDecoder, vqEncoder } from "../../graph/blocks/vae.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { gatherRows, reshape } from "../../graph/ops/movement.ts";
import { centreSquare } from "../../pixels/centre-square.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import type { GraphOptions, StageContext } from "../family.ts";
import { readPicture } from "../read-picture.ts";
import { codesPerPicture, type ChameleonConfig } from "./config.ts";

/** pixels f32 [1, 3, size, size] in [-1, 1] -> codes f32 [2, codes], row by row, as {@link readCodes} wants them. */
export function encoderGraph(
  { vq, codebook, imageSize }: ChameleonConfig,
  { quantization }: Pick<GraphOptions, "quantization">,
): Graph {
  const g = new GraphBuilder({ name: "encoder", float: "f32", quantization });
  const pixels = g.input("pixels", "f32", [1, 3, imageSize, imageSize]);
  g.output("codes", nearestCodes(g, vqEncoder(g, pixels, vq), codebook));
  return g.build();
}

/** ids i32 [codes] -> image f32 [1, 3, size, size], nominally in [-1, 1]. Ids of no code are code 0. */
export function decoderGraph(
  config: ChameleonConfig,
  { quantization }: Pick<GraphOptions, "quantization">,
): Graph {
  const { vq, codebook, grid, vocabulary, language } = config;
  const g = new GraphBuilder({ name: "decoder", float: "f32", quantization });
  const ids = g.input("ids", "i32", [codesPerPicture(config)]);
  const codeOf = new Int32Array(language.vocabularySize);
  for (const [code, id] of vocabulary.codeIds.entries()) codeOf[id] = code;
  const table = g.constant("i32", [codeOf.length, 1], codeOf);
  const codes = reshape(g, gatherRows(g, table, ids), [1, -1]); // [1, codes]
  g.output("image", vaeDecoder(g, codeVectors(g, codes, grid, codebook), vq));
  return g.build();
}

/** Both directions, compiled; the way back is there where its weights are. */
export class PictureCodes {
  readonly #context: StageContext<ChameleonConfig>;
  readonly #encoder: Session;
  readonly #decoder: Session | undefined;

  private constructor(
    context: StageContext<ChameleonConfig>,
    encoder: Session,
    decoder: Session | undefined,
  ) {
    this.#context = context;
    this.#encoder = encoder;
    this.#decoder = decoder;
  }

  /** Compiles the encoder, and the decoder where there is one; weights must be loaded. */
  static async create(context: StageContext<ChameleonConfig>): Promise<PictureCodes> {
    const { config, runtime, weights } = context;
    const compile = (graph: Graph): Promise<Session> =>
      runtime.createSession(graph, weights.tensors);
    const encoder = await compile(encoderGraph(config, context));
    const decoder = config.canDraw ? await compile(decoderGraph(config, context)) : undefined;
    return new PictureCodes(context, encoder, decoder);
  }

  /**
   * A picture's ids, its marks around them. Reads back once: the prompt is put together here.
   *
   * @throws ModelError numerics when the encoder gave no numbers
   */
  async encode(picture: Pixels): Promise<number[]> {
    const { runtime, config } = this.#context;
    const { imageSize: size, vocabulary } = config;
    const pixels = runtime.createTensor("f32", [1, 3, size, size], centreSquare(picture, size));
    const { codes } = await this.#encoder.run({ pixels });
    pixels.dispose();
    const found = present(codes, "codes");
    const chosen = await runtime.read(found);
    found.dispose();
    assert(chosen instanceof Float32Array, "codes and sums are f32");
    const idOf = (code: number): number => present(vocabulary.codeIds[code], `code ${code}`);
    return [vocabulary.boi, ...Array.from(readCodes(chosen), idOf), vocabulary.eoi];
  }

  /** Ids i32 [codes] on the device -> picture. Reads back once. */
  async decode(ids: Tensor): Promise<Pixels> {
    const { image } = await present(this.#decoder, "decoder").run({ ids });
    // The reference truncates: clamp, (x + 1) / 2 * 255, astype(uint8).
    return readPicture(this.#context.runtime, present(image, "image"), "truncate");
  }

  async dispose(): Promise<void> {
    await this.#encoder.dispose();
    await this.#decoder?.dispose();
  }
}
