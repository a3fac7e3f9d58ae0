// The command line: `web-umm plan` and `web-umm convert`. Knows arguments and texts; the work is elsewhere.
import { parseArgs } from "node:util";
import type { Quantization } from "../base/dtype.ts";
import { ModelError } from "../base/errors.ts";
import type { LoadProgress } from "../base/events.ts";
import { VERSION } from "../base/version.ts";
import { convert, locate } from "./convert.ts";
import { hubFetch } from "./hub-fetch.ts";
import { planModel } from "../engine/model-plan.ts";
import { formatBytes, printPlan } from "./print-plan.ts";
import { readModelConfig } from "./read-config.ts";

/** Where texts go. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

const USAGE = `web-umm ${VERSION}

  web-umm plan <model> [--max-buffer <size>] [--memory <size>] [--json]
      What a model takes, from its config.json and what the headers of its weights name, where there are
      any: tensors, shards, bytes of every stage under q4, q8 and f16, the largest buffer, and whether a
      device with these limits runs it.

  web-umm convert <model> <folder> [--quantization q4|q8|f16|f32] [--companion <name>=<model>]...
      Quantizes a model into a folder that the library loads as it is, with the very bytes that a browser
      would make. Stopped conversions go on where they were.

  <model> is a folder, a hub id (owner/name[@revision]) or a URL; --hub <url> names another hub.
  <size> is a number of bytes, or 512MB, 4GiB, ...
  HF_TOKEN in the environment is an access token for gated repositories; only the hub sees it.
`;

const QUANTIZATIONS: readonly Quantization[] = ["q4", "q8", "f16", "f32"];
const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** Runs one command. @returns the exit code: 0, 1 when it failed, 2 when it was called wrongly */
export async function run(parameters: readonly string[], terminal: Terminal): Promise<0 | 1 | 2> {
  try {
    const [command, ...rest] = parameters;
    if (command === "plan") await runPlan(rest, terminal);
    else if (command === "convert") await runConvert(rest, terminal);
    else {
      const isAsked = command === undefined || command === "--help" || command === "help";
      if (!isAsked) throw new RangeError(`There is no command "${command}".`);
      terminal.out(USAGE);
    }
    return 0;
  } catch (error) {
    const isWorld = ModelError.isModelError(error);
    const message = error instanceof Error ? error.message : String(error);
    terminal.error(`${isWorld ? `${error.code}: ` : ""}${message}\n`);
    return isWorld ? 1 : 2;
  }
}

async function runPlan(parameters: string[], { out }: Terminal): Promise<void> {
  const { values, positionals } = parseArgs({
    args: parameters,
    allowPositionals: true,
    options: {
      "max-buffer": { type: "string" },
      memory: { type: "string" },
      hub: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const [model] = expectCount(positionals, 1, "plan <model>");
  const limits = {
    maxBufferBytes: parseSize(values["max-buffer"], "--max-buffer"),
    memoryBytes: parseSize(values.memory, "--memory"),
  };
  const fetch = hubFetch(process.env["HF_TOKEN"], values.hub);
  const options = { fetch, ...(values.hub === undefined ? {} : { hubUrl: values.hub }) };
  const plan = planModel(await readModelConfig(locate(model ?? ""), options));
  out(values.json ? `${JSON.stringify(plan, null, 2)}\n` : printPlan(plan, limits));
}

async function runConvert(parameters: string[], { out, error }: Terminal): Promise<void> {
  const { values, positionals } = parseArgs({
    args: parameters,
    allowPositionals: true,
    options: {
      quantization: { type: "string", short: "q", default: "q4" },
      companion: { type: "string", multiple: true, default: [] },
      hub: { type: "string" },
    },
  });
  const [from = "", to = ""] = expectCount(positionals, 2, "convert <model> <folder>");
  const quantization = QUANTIZATIONS.find((known) => known === values.quantization);
  if (!quantization) {
    throw new RangeError(
      `--quantization is one of ${QUANTIZATIONS.join(", ")}, got ${values.quantization}.`,
    );
  }
  const companions = Object.fromEntries(values.companion.map(parseCompanion));
  const onProgress = progressLine(error);
  const fetch = hubFetch(process.env["HF_TOKEN"], values.hub);
  const outcome = await convert({
    fetch,
    from,
    to,
    quantization,
    companions,
    hubUrl: values.hub,
    onProgress,
  });
  out(`${outcome.family}, ${formatBytes(outcome.storedBytes)} as ${quantization}, in ${to}\n`);
}

function expectCount(positionals: string[], count: number, usage: string): string[] {
  if (positionals.length === count) return positionals;
  throw new RangeError(`Usage: web-umm ${usage}; see web-umm --help.`);
}

function parseSize(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text) ?? [];
  const factor = UNITS[unit.toUpperCase()];
  if (digits === undefined || factor === undefined) {
    throw new RangeError(`${name} is a size such as 512MB or 4GiB, got "${text}".`);
  }
  return Number(digits) * factor;
}

function parseCompanion(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at <= 0) throw new RangeError(`--companion is <name>=<model>, got "${text}".`);
  return [text.slice(0, at), text.slice(at + 1)];
}

// One line whenever another per cent is done.
function progressLine(write: (text: string) => void): (progress: LoadProgress) => void {
  let shown = -1;
  return ({ phase, file, loadedBytes, totalBytes, bytesPerSecond }) => {
    const percent = totalBytes === 0 ? 0 : Math.floor((100 * loadedBytes) / totalBytes);
    if (percent === shown) return;
    shown = percent;
    const speed = `${formatBytes(bytesPerSecond)}/s`;
    write(`${phase} ${percent} % of ${formatBytes(totalBytes)}, ${speed}, ${file}\n`);
  };
}
