// The engine of a page that may not store anything.
import "./no-storage.ts";
import "../../../../workers/engine.ts";
