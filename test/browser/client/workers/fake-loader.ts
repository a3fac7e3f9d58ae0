// A loader worker without a network or a store.
import { expose } from "comlink";
import { installWire } from "../../../../src/base/wire.ts";
import { Loader } from "../../../../src/engine/loader.ts";
import { fakeLoader } from "../../../support/fake-loader.ts";

installWire();
expose(new Loader(fakeLoader()));
