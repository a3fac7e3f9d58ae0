// The worker that downloads and stores. Started by src/client/spawn.ts.
import { expose } from "comlink";
import { installWire } from "../src/base/wire.ts";
import { Loader } from "../src/engine/loader.ts";
import { loaderParts } from "../src/engine/stored-models.ts";

installWire();
expose(new Loader(loaderParts()));
