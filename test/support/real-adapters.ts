// What browsers say of real GPUs, for asking which models they are admitted to.
//
// Chromium rounds what the driver has down to a tier, so that a page cannot tell drivers apart: bindings of 128 MiB,
// 1 GiB, 2 GiB - 4 and 4 GiB - 4; buffers of 256 MiB, 1, 2 and 4 GiB; workgroups of 128, 256 and 1,024; their memory
// of 16, 32, 48 and 64 KiB (google/dawn, src/dawn/native/Limits.cpp). Safari gives Metal's own numbers, on phones at
// most 1 GiB since August 2025 and a tenth of the largest buffer before (WebKit/WebKit#49472).
//
// `source` says how well a row is known. "captured": a page on that device printed its buffers, bindings and features
// (some of them not the workgroups, which are then the tier's). "reported": an issue names the device and the limit
// (webgpu/webgpu-samples#294, apache/tvm#14640, WebKit/WebKit#49472). "typical": what the tier of its generation and
// system gives; no number of such a row claims to be that device's. Memory is the vendor's number for cards, a part of
// the system's where it is shared, and on phones what a page lives with (1.5 GB on iOS, the same WebKit request):
// WebGPU itself tells none of it.

/** A GPU as a page sees it, and the memory that it has. */
export interface RealAdapter {
  readonly name: string;
  readonly source: "captured" | "reported" | "typical";
  readonly info: Pick<GPUAdapterInfo, "vendor" | "architecture">;
  readonly isFallback: boolean;
  readonly features: readonly ("shader-f16" | "subgroups")[];
  readonly limits: Readonly<Record<LimitName, number>>;
  /** Bytes that it gives before it refuses. */
  readonly memoryBytes: number;
}

type LimitName =
  | "maxBufferSize"
  | "maxStorageBufferBindingSize"
  | "maxStorageBuffersPerShaderStage"
  | "maxComputeWorkgroupStorageSize"
  | "maxComputeInvocationsPerWorkgroup";

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

type Limits = RealAdapter["limits"];

function limits(
  buffer: number,
  binding: number,
  compute: readonly [number, number, number],
): Limits {
  const [storageBuffers, workgroupKib, invocations] = compute;
  return {
    maxBufferSize: buffer,
    maxStorageBufferBindingSize: binding,
    maxStorageBuffersPerShaderStage: storageBuffers,
    maxComputeWorkgroupStorageSize: workgroupKib * KIB,
    maxComputeInvocationsPerWorkgroup: invocations,
  };
}

/** Direct3D 12 under Chromium 150: what pages on five NVIDIA cards of 2012 to 2023 printed, the same on all of them. */
const WINDOWS = limits(2 * GIB, 2 * GIB - 4, [16, 32, 1024]);
/** Vulkan under Chromium, desktop drivers. */
const LINUX = limits(4 * GIB, 4 * GIB - 4, [10, 48, 1024]);
const LINUX_INTEGRATED = limits(4 * GIB, 2 * GIB - 4, [10, 32, 1024]);
/** Metal under Chromium. */
const MAC = limits(4 * GIB, 4 * GIB - 4, [10, 32, 1024]);
/** Vulkan under Chromium for Android: drivers with and without bindings beyond WebGPU's least. */
const ANDROID_LARGE = limits(4 * GIB, GIB, [10, 32, 1024]);
const ANDROID_MIDDLE = limits(GIB, GIB, [10, 16, 256]);
const ANDROID_SMALL = limits(GIB, 128 * MIB, [8, 16, 256]);
/** WebGPU's least, which every adapter has (the specification, 3.6.2). */
const LEAST = limits(256 * MIB, 128 * MIB, [8, 16, 256]);
/** OpenGL ES under Chromium's compatibility mode. */
const COMPATIBLE = limits(256 * MIB, 128 * MIB, [4, 16, 128]);
/** Metal under Safari. */
const IPHONE = limits(GIB, GIB, [10, 32, 1024]);
/** The same before August 2025: a tenth of 4 GiB, and of 2.5. */
const OLD_IPHONE = limits(Math.floor((4 * GIB) / 10), Math.floor((4 * GIB) / 10), [8, 32, 1024]);
const OLDER_IPHONE = limits(256 * MIB, 256 * MIB, [8, 32, 512]);
/** Vulkan on the CPU: what Chromium 156 says of it here. */
const SWIFTSHADER = limits(GIB, GIB, [10, 32, 256]);
/** wgpu under Firefox: the driver's own numbers, no tiers. */
const FIREFOX = limits(4 * GIB, 2 * GIB - 1, [8, 32, 1024]);

const BOTH = ["shader-f16", "subgroups"] as const;
const F16 = ["shader-f16"] as const;
const SUBGROUPS = ["subgroups"] as const;

type Row = readonly [
  name: string,
  source: RealAdapter["source"],
  vendor: string,
  architecture: string,
  limits: Limits,
  features: RealAdapter["features"],
  memoryGib: number,
];

const ROWS: readonly Row[] = [
  ["GeForce RTX 4090, Windows", "typical", "nvidia", "lovelace", WINDOWS, BOTH, 24],
  ["GeForce RTX 4070, Windows", "captured", "nvidia", "lovelace", WINDOWS, BOTH, 12],
  ["GeForce RTX 3060, Windows", "typical", "nvidia", "ampere", WINDOWS, BOTH, 12],
  ["GeForce RTX 3060, Linux", "typical", "nvidia", "ampere", LINUX, BOTH, 12],
  ["GeForce RTX 2060, Windows", "typical", "nvidia", "turing", WINDOWS, BOTH, 6],
  ["GeForce GTX 1650, Windows", "captured", "nvidia", "turing", WINDOWS, BOTH, 4],
  ["GeForce GTX 1060, Windows", "captured", "nvidia", "pascal", WINDOWS, SUBGROUPS, 6],
  ["GeForce GT 1030, Linux", "typical", "nvidia", "pascal", LINUX, SUBGROUPS, 2],
  ["Radeon RX 7900 XTX, Windows", "typical", "amd", "rdna-3", WINDOWS, BOTH, 24],
  ["Radeon RX 6600, Linux", "typical", "amd", "rdna-2", LINUX, BOTH, 8],
  ["Radeon RX 580, Windows", "typical", "amd", "gcn-4", WINDOWS, SUBGROUPS, 8],
  ["Radeon 780M, Windows, shared", "typical", "amd", "rdna-3", WINDOWS, BOTH, 8],
  ["Radeon RX 6600, Firefox", "typical", "amd", "", FIREFOX, F16, 8],
  ["Arc A770, Windows", "typical", "intel", "gen-12hp", WINDOWS, BOTH, 16],
  ["Iris Xe, Windows, shared", "typical", "intel", "gen-12lp", WINDOWS, BOTH, 8],
  ["Iris Xe, Linux, shared", "typical", "intel", "gen-12lp", LINUX_INTEGRATED, BOTH, 8],
  ["UHD 620, Windows, shared", "typical", "intel", "gen-9", WINDOWS, F16, 4],
  ["HD 520, compatibility mode", "typical", "intel", "gen-9", COMPATIBLE, [], 2],
  ["Apple M3 Max, 64 GB, Chrome", "typical", "apple", "metal-3", MAC, BOTH, 48],
  ["Apple M2, 16 GB, Chrome", "typical", "apple", "metal-3", MAC, BOTH, 10],
  ["Apple M1, 8 GB, Chrome", "typical", "apple", "metal-3", MAC, BOTH, 5],
  ["Apple M1, 8 GB, Safari", "typical", "apple", "apple", MAC, F16, 5],
  ["Intel Mac 2018, Chrome", "typical", "intel", "gen-9", limits(GIB, GIB, [8, 32, 1024]), F16, 3],
  ["iPhone of iOS 18.7, Safari 26.5", "captured", "apple", "apple", IPHONE, F16, 1.5],
  ["iPhone 16 Pro before August 2025", "reported", "apple", "apple", OLD_IPHONE, F16, 1.5],
  ["iPhone 13", "typical", "apple", "apple", OLDER_IPHONE, F16, 1.5],
  ["iPad Pro M4", "typical", "apple", "apple", IPHONE, F16, 3],
  ["Adreno 750 (Galaxy S24)", "typical", "qualcomm", "adreno-7xx", ANDROID_LARGE, BOTH, 4],
  ["Adreno 740 (Galaxy S23)", "typical", "qualcomm", "adreno-7xx", ANDROID_LARGE, BOTH, 3],
  ["Adreno 650 (Galaxy S20)", "reported", "qualcomm", "adreno-6xx", ANDROID_SMALL, [], 3],
  ["Adreno 640 (Pixel 4)", "reported", "qualcomm", "adreno-6xx", ANDROID_SMALL, [], 2],
  ["Adreno X1 (Snapdragon X Elite)", "typical", "qualcomm", "adreno-x1", WINDOWS, BOTH, 8],
  ["Mali-G715 (Pixel 8)", "typical", "arm", "valhall", ANDROID_MIDDLE, F16, 3],
  ["Mali-G78 (Pixel 6)", "reported", "arm", "valhall", ANDROID_SMALL, F16, 2],
  ["Mali-G52", "typical", "arm", "bifrost", LEAST, [], 1],
  ["PowerVR DXT-48 (Pixel 10)", "typical", "img-tec", "d-series", ANDROID_MIDDLE, F16, 3],
  ["PowerVR GE8320", "typical", "img-tec", "rogue", LEAST, [], 0.75],
  ["SwiftShader", "captured", "google", "swiftshader", SWIFTSHADER, SUBGROUPS, 4],
];

/** Real devices, one of each kind and tier. */
export const REAL_ADAPTERS: readonly RealAdapter[] = ROWS.map(
  ([name, source, vendor, architecture, own, features, memoryGib]) => ({
    name,
    source,
    info: { vendor, architecture },
    isFallback: architecture === "swiftshader",
    features,
    limits: own,
    memoryBytes: memoryGib * GIB,
  }),
);

/** `navigator.gpu` of a device: an adapter with its facts, and a device that refuses what is beyond its memory. */
export function gpuOf(adapter: RealAdapter): Pick<GPU, "requestAdapter"> {
  const { info, isFallback, features, limits: own } = adapter;
  const stub = {
    info: {
      ...info,
      device: "",
      description: "",
      isFallbackAdapter: isFallback,
      subgroupMinSize: 8,
    },
    features: new Set(features),
    limits: own,
    requestDevice: async () => deviceOf(adapter),
  };
  return { requestAdapter: async () => stub as unknown as GPUAdapter };
}

function deviceOf({ limits: own, memoryBytes }: RealAdapter): unknown {
  let held = 0;
  let isRefused = false;
  return {
    limits: own,
    lost: new Promise(() => {}),
    destroy: () => undefined,
    pushErrorScope: () => void (isRefused = false),
    popErrorScope: async () => (isRefused ? { message: "no memory" } : null),
    createBuffer({ size }: GPUBufferDescriptor) {
      isRefused = held + size > memoryBytes;
      const given = isRefused ? 0 : size;
      held += given;
      return { destroy: () => void (held -= given) };
    },
  };
}
