// What every family does to bring its stages to a device. A family says which graphs a stage has and what opens
// it; the weights that are declared, the order of opening, and what the model tells about itself follow.
import type { WeightDeclaration } from "../base/weight-declaration.ts";
import type { Graph } from "../graph/graph.ts";
import type { LoopSession } from "../session/loop-session.ts";
import type { OpenStage, ResidentStage } from "../session/residency.ts";
import { createTextStream, createTokenizer, type Tokenizer } from "../tokens/tokenizer.ts";
import type {
  CheckpointFiles,
  DrawStage,
  Family,
  GraphOptions,
  StageContext,
  Stages,
  WriteStage,
} from "./family.ts";

/** The graphs of every stage by its name; sequence sizes do not matter for the weights they bind. */
export type StageGraphs<Config, Name extends string = string> = (
  config: Config,
  options: GraphOptions,
) => Readonly<Record<Name, readonly Graph[]>>;

/** Loops by name; undefined while a loop is not compiled. */
export type Loops = Readonly<Record<string, Pick<LoopSession, "isCaptured" | "note"> | undefined>>;

/**
 * A family's `declareWeights`: what any graph of any stage binds, once each.
 *
 * @param rename - gives a weight the name that this checkpoint has for it; default: as declared
 */
export function weightsOf<Config>(
  stageGraphs: StageGraphs<Config>,
  rename: (weight: WeightDeclaration, config: Config) => WeightDeclaration = (weight) => weight,
): Family<Config>["declareWeights"] {
  return (config, quantization) => {
    const graphs = Object.values(stageGraphs(config, { float: "f32", quantization })).flat();
    const weights = graphs.flatMap((graph) => graph.weights);
    const distinct = new Map(weights.map((weight) => [weight.key, weight]));
    return [...distinct.values()].map((weight) => rename(weight, config));
  };
}

/** The tokenizer of a checkpoint. @throws ModelError checkpoint-invalid */
export function openTokenizer(files: CheckpointFiles): Tokenizer {
  return createTokenizer(files["tokenizer.json"], files["tokenizer_config.json"]);
}

/** Stages of one model while they are being bound: all are added, then they are opened. */
export class StageBinder<Config, Name extends string> {
  readonly #context: StageContext<Config>;
  readonly #graphs: Readonly<Record<Name, readonly Graph[]>>;

  constructor(context: StageContext<Config>, stageGraphs: StageGraphs<Config, Name>) {
    const { config, runtime, quantization } = context;
    this.#context = context;
    this.#graphs = stageGraphs(config, { float: runtime.float, quantization });
  }

  /** A further stage; `open` compiles it, and its weights are on the device by then. */
  add<Open extends OpenStage>(name: Name, open: () => Promise<Open>): ResidentStage<Open> {
    const { residency, onStage } = this.#context;
    return residency.add({
      name,
      graphs: this.#graphs[name],
      open: () => {
        onStage?.(name);
        return open();
      },
    });
  }

  /**
   * Opens what there is room for.
   *
   * @param loops - loops of the stages that are open when it is asked
   * @returns the part of a model's stages that is the same for every family
   */
  async open(loops: () => Loops): Promise<Pick<Stages, "runtime" | "info" | "dispose">> {
    const { runtime, residency, signal, onStage } = this.#context;
    onStage?.("weights");
    await residency.openAll(signal);
    return {
      runtime,
      info: () => {
        const known = Object.entries(loops()).flatMap(([name, loop]) =>
          loop ? [{ name, loop }] : [],
        );
        return {
          stages: residency.info(),
          captured: Object.fromEntries(known.map(({ name, loop }) => [name, loop.isCaptured])),
          notes: known.flatMap(({ loop }) => (loop.note === undefined ? [] : [loop.note])),
        };
      },
      dispose: () => residency.dispose(),
    };
  }
}

/** A stage, or a part of one, that is brought back where it had left. */
type Entrance<Part> = Pick<ResidentStage<OpenStage & Part>, "enter">;

/** Writing by a stage that is brought back where it had left. */
export function writeStage(
  stage: Entrance<Pick<WriteStage, "prefill">>,
  { tokenizer, stopIds }: { tokenizer: Tokenizer; stopIds: ReadonlySet<number> },
): WriteStage {
  return {
    stopIds,
    createTextStream: () => createTextStream(tokenizer),
    prefill: async (messages, maxTokens, signal) =>
      (await stage.enter(signal)).prefill(messages, maxTokens, signal),
  };
}

/** Drawing by a stage that is brought back where it had left. */
export function drawStage(
  stage: Entrance<Pick<DrawStage, "prepare">>,
  facts: Pick<DrawStage, "maxImages" | "defaults">,
): DrawStage {
  return {
    ...facts,
    prepare: async (request, signal) => (await stage.enter(signal)).prepare(request, signal),
  };
}
