// The loader of a page that may not store anything.
import "./no-storage.ts";
import "../../../../workers/loader.ts";
