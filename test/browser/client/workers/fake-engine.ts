// An engine worker without a model.
import { expose } from "comlink";
import { installWire } from "../../../../src/base/wire.ts";
import { Engine } from "../../../../src/engine/engine.ts";
import { fakeModel } from "../../../support/fake-model.ts";

installWire();
expose(new Engine(fakeModel()));
