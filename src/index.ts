// The public API of web-umm: this list, and nothing else.
export { loadModel } from "./client/load-model.ts";
export { cache } from "./client/cache.ts";
export { checkDevice } from "./client/check-device.ts";
export { ModelError } from "./base/errors.ts";

export type { Model } from "./client/model.ts";
export type { Run } from "./client/run.ts";

export type { LoadOptions } from "./client/load-options.ts";
export type { WorkerFactories } from "./client/spawn.ts";
export type { SourceInput } from "./base/source-location.ts";
export type { FetchAnswer, FetchLike } from "./base/wire-fetch.ts";
export type { LoadPhase, LoadProgress } from "./base/events.ts";
export type { Quantization } from "./base/dtype.ts";
export type { BackendKind } from "./session/runtime.ts";

export type {
  ContentPartInput,
  ConverseOptions,
  EditImageOptions,
  GenerateImageOptions,
  GenerateTextOptions,
  ImageInput,
  MessageInput,
  SamplingOptions,
} from "./base/options.ts";
export type { Role } from "./base/requests.ts";

export type { ConverseEvent, ConverseOutput, DrawEvent, DrawOutput } from "./client/outputs.ts";
export type { GeneratedImage, ImageOrigin } from "./pixels/image-output.ts";
export type { FinishReason, ImageTimings, TextResult, TextUsage } from "./base/events.ts";
export type { ImageEvent, PreviewEvent, StepEvent, TextDeltaEvent } from "./base/events.ts";
export type { Pace, RunEvent } from "./base/events.ts";
export type { Pixels } from "./base/pixels.ts";

export type { Capabilities, TaskName } from "./base/requests.ts";
export type { ModelInfo, StageInfo, TrafficInfo } from "./base/info.ts";
export type { GpuObstacle } from "./base/gpu-adapter.ts";
export type { DeviceReport } from "./client/check-device.ts";
export type { CacheOptions } from "./client/cache.ts";
export type { CachedModel, CacheUsage } from "./base/cache-info.ts";
export type { ErrorDetails, ModelErrorCode } from "./base/errors.ts";
