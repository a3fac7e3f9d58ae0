// The worker that runs a model. Started by src/client/spawn.ts.
import { expose } from "comlink";
import { installWire } from "../src/base/wire.ts";
import { Engine } from "../src/engine/engine.ts";
import { loadStages } from "../src/engine/load-stages.ts";
import { runTask } from "../src/engine/run-task.ts";

installWire();
expose(new Engine({ loadStages, runTask }));
