// The engine worker, with a device that the page can lose and a thread that it can block or kill. What loses the
// device is WebGPU's own destroy, called behind the library's back, as a driver would.
import { expose } from "comlink";
import { installWire } from "../../../src/base/wire.ts";
import { Engine } from "../../../src/engine/engine.ts";
import { loadStages } from "../../../src/engine/load-stages.ts";
import { runTask } from "../../../src/engine/run-task.ts";
import { ACCIDENTS_CHANNEL } from "./accidents.ts";
import type { Accident } from "./accidents.ts";

// oxlint-disable-next-line typescript/unbound-method -- called with its own adapter below
const { requestDevice } = GPUAdapter.prototype;
let device: GPUDevice | undefined;

GPUAdapter.prototype.requestDevice = async function (
  this: GPUAdapter,
  descriptor?: GPUDeviceDescriptor,
): Promise<GPUDevice> {
  device = await requestDevice.call(this, descriptor);
  return device;
};

const accidents: Readonly<Record<Accident, () => void>> = {
  lose: () => device?.destroy(),
  block() {
    for (;;);
  },
  crash() {
    setTimeout(() => {
      throw new Error("an accident");
    });
  },
};

new BroadcastChannel(ACCIDENTS_CHANNEL).addEventListener(
  "message",
  ({ data }: MessageEvent<Accident>) => accidents[data](),
);

installWire();
expose(new Engine({ loadStages, runTask }));
