// The contract between model families and everything above them. A family turns a published checkpoint
// into stages; tasks see the stages and nothing else. However a picture comes out of the core (it is the
// velocity field of a flow, it emits image codes, it emits embeddings for a decoder), a task sees a Drawing.
import type { Drawing } from "../base/drawing.ts";
import type { FloatType, Quantization } from "../base/dtype.ts";
import type { Pixels } from "../base/pixels.ts";
import type { Capabilities, Message } from "../base/requests.ts";
import type { StageInfo } from "../base/info.ts";
import type { WeightDeclaration } from "../base/weight-declaration.ts";
import type { WeightFile } from "../weights/checkpoint.ts";
import type { Graph } from "../graph/graph.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";
import type { Residency } from "../session/residency.ts";
import type { WeightBank } from "../session/weight-bank.ts";
import type { TokenCore } from "../tokens/generate-tokens.ts";
import type { TextStream } from "../tokens/tokenizer.ts";

/** Parsed JSON files of a checkpoint by path; a companion's files are under `<companion>/`. */
export type CheckpointFiles = Readonly<Record<string, unknown>>;

/**
 * Names of the tensors in a checkpoint's own files: what no config tells, such as whether the weights for
 * drawing were published. Once it is stored, those that the family declared.
 */
export type TensorNames = ReadonlySet<string>;

/** A side file that a family reads. Optional files have defaults in the reference's code. */
export interface SideFile {
  readonly name: string;
  readonly isRequired: boolean;
  /** Where other repositories of the same model have it; read under `name`. */
  readonly elsewhere?: string;
}

/** Everything a family needs to build its stages. */
export interface StageContext<Config> {
  readonly config: Config;
  readonly files: CheckpointFiles;
  readonly quantization: Quantization;
  readonly runtime: Runtime;
  readonly weights: WeightBank;
  /** Where the family adds its stages: they may have to take turns on the device. */
  readonly residency: Residency;
  readonly signal?: AbortSignal;
  /** Called when a stage is being compiled, with its name. */
  readonly onStage?: (stage: string) => void;
}

/** A repository that a family needs beside its own. */
export interface Companion {
  /** What the family's authors use: a hub id, or `owner/name@revision`. */
  readonly repository: string;
  readonly sideFiles: readonly SideFile[];
  /** Weights under other names than every checkpoint's, such as ae.safetensors. */
  readonly weightFiles?: readonly WeightFile[];
}

/** Graphs of a stage as a request of the usual size compiles them. */
export interface StageWork {
  /** Graphs whose inputs stay on the device beside the weights: caches, tables, latents. */
  readonly loops: readonly Graph[];
  /** Graphs that keep nothing when they are done. */
  readonly passes: readonly Graph[];
}

/** One model family: how its checkpoints are recognised, read, stored and run. */
export interface Family<Config = unknown> {
  readonly id: string;
  /** What a checkpoint of this configuration can do. */
  capabilities(config: Config): Capabilities;
  /** Files beside the weights. */
  readonly sideFiles: readonly SideFile[];
  /** Repositories that a family needs beside its own: the default is what its authors use. */
  readonly companions: Readonly<Record<string, Companion>>;
  /** Weights beside model.safetensors or pytorch_model.bin: other decoders, a tokenizer of images. */
  readonly weightFiles?: readonly WeightFile[];
  /** True when this config.json is one of the family's. */
  matches(configJson: unknown): boolean;
  /** Reads and checks the configuration. @throws ModelError unsupported-model | checkpoint-invalid */
  parse(files: CheckpointFiles, tensors: TensorNames): Config;
  /** Every weight that any of the family's graphs binds. */
  declareWeights(config: Config, quantization: Quantization): WeightDeclaration[];
  /**
   * The graphs of every stage by the stage's name, for telling sizes before anything is downloaded; sequence
   * sizes do not matter.
   */
  stageGraphs(config: Config, options: GraphOptions): Readonly<Record<string, readonly Graph[]>>;
  /**
   * What an answer and a drawing of the usual size (usual-request.ts) compile, by the stage's name: for telling
   * what comes on top of the weights before anything is downloaded.
   */
  stageWork(config: Config, options: GraphOptions): Readonly<Record<string, StageWork>>;
  /** Uploads weights and compiles graphs. */
  createStages(context: StageContext<Config>): Promise<Stages>;
}

/** What a task may ask of a loaded model. */
export interface Stages {
  readonly runtime: Runtime;
  readonly write?: WriteStage;
  readonly draw?: DrawStage;
  /** What the checkpoint lacks, where others of its family draw. */
  readonly whyNoDrawing?: string;
  /** Present where an answer may hold pictures. */
  readonly interleave?: InterleaveStage;
  info(): StagesInfo;
  dispose(): Promise<void>;
}

/** What stages tell about themselves. */
export interface StagesInfo {
  readonly stages: readonly StageInfo[];
  /** Loop name -> does it replay a captured command list. */
  readonly captured: Readonly<Record<string, boolean>>;
  readonly notes: readonly string[];
}

/** A prompt on the device: its key/value cache is filled and its last logits are in `core.logits`. */
export interface WrittenPrompt {
  readonly promptTokens: number;
  /** Tokens that the answer may have before the model's context is full; at least 1. */
  readonly room: number;
  readonly core: TokenCore;
  /** u32 [vocabulary]: ids that must not be picked, ids that the context holds; owned by the stage. */
  readonly rules?: Tensor;
  /** What the reference always applies; default 1 = none. */
  readonly repetitionPenalty?: number;
}

/** The core as a language model that may look at pictures. */
export interface WriteStage {
  /** Ids that end an answer. */
  readonly stopIds: ReadonlySet<number>;
  /**
   * Fills the cache with a conversation.
   *
   * @param maxTokens - tokens that the answer may add at most
   * @throws TypeError when the conversation does not end with a user's message
   * @throws RangeError when the prompt alone fills the model's context
   */
  prefill(
    messages: readonly Message[],
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<WrittenPrompt>;
  /** A decoder of ids into text deltas that never splits a character. */
  createTextStream(): TextStream;
}

/** Numbers of a drawing that a family's reference uses when nothing else is asked for. */
export interface DrawDefaults {
  readonly width: number;
  readonly height: number;
  /** Solver steps, or image tokens where the model draws those. */
  readonly steps: number;
  readonly guidance: number;
  /** Guidance by the pictures of an edit, where the family knows such a thing. */
  readonly imageGuidance?: number;
}

/** What is to be drawn: a request with the family's defaults filled in. */
export interface DrawRequest extends DrawDefaults {
  readonly prompt: string;
  readonly negativePrompt?: string;
  /** Pictures to start from, at most the stage's `maxImages`; empty: from text alone. */
  readonly images: readonly Pixels[];
  readonly seed: number;
  readonly count: number;
  /** First noise, [count, ...latent shape]; replaces the seed's. */
  readonly latents?: Float32Array<ArrayBuffer>;
}

/** Drawing from a prompt, and from pictures where the family edits. */
export interface DrawStage {
  /** Most pictures that a request may start from; 0 = from text alone. */
  readonly maxImages: number;
  /** The reference's own numbers; those of an edit may depend on its pictures. */
  defaults(images: readonly Pixels[]): DrawDefaults;
  /**
   * Checks the request, then brings prompt and pictures to the device. Valid until the next call.
   *
   * @throws RangeError, before any work, for what the model has no grid, steps or room for
   */
  prepare(request: DrawRequest, signal?: AbortSignal): Promise<Drawing>;
}

/** How the pictures of an answer are drawn; absent numbers are the family's. */
export type InterleaveRequest = Partial<Pick<DrawRequest, "steps" | "guidance">> &
  Pick<DrawRequest, "seed">;

/** Answers that hold pictures: the text loop stops at a begin id, a picture is drawn, the text goes on. */
export interface InterleaveStage {
  /** Picking one of these ends the text for now and begins a picture. */
  readonly beginIds: ReadonlySet<number>;
  /** As the write stage's, for an answer that may hold pictures. */
  prefill: WriteStage["prefill"];
  /**
   * The picture at this point of the answer, a drawing of one.
   *
   * @param answered - ids since the last prefill or resume, the begin id last: what the loop ran ahead is undone
   */
  prepare(
    answered: readonly number[],
    request: InterleaveRequest,
    signal?: AbortSignal,
  ): Promise<Drawing>;
  /** Takes the drawn picture into the conversation. Undefined when the context is full: the answer ends. */
  resume(maxTokens: number, signal?: AbortSignal): Promise<WrittenPrompt | undefined>;
}

/** Options of a graph that every family's builders take. */
export interface GraphOptions {
  readonly float: FloatType;
  readonly quantization: Quantization;
}
