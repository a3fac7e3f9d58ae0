// Which of Chameleon's ids are text, which are codes of a picture, and which are marks. All of it is read
// from the names of the vocabulary, as the reference does.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/vocab.py
import { fail } from "../../base/errors.ts";
import type { ConfigReader } from "../config-reader.ts";

/** Ids by what they are for. */
export interface ChameleonVocabulary {
  readonly bos: number;
  readonly eos: number;
  /** Begins a picture. */
  readonly boi: number;
  /** Ends a picture. */
  readonly eoi: number;
  /** Ends a turn. */
  readonly eot: number;
  /** Id of each code of the codebook. */
  readonly codeIds: readonly number[];
  /** Ids that text may be written with. */
  readonly textIds: readonly number[];
  /** Names that have a meaning of their own: what a user types is never read as one. */
  readonly controls: readonly string[];
}

const NAMES = {
  bos: "<s>",
  eos: "</s>",
  boi: "<racm3:break>",
  eoi: "<eoss>",
  eot: "<reserved08706>",
} as const;
const OTHER_CONTROLS = /^(?:<pad>|<unk>|<image>|<reserved\d+>)$/;
const CODE = /^IMGIMG([A-J]+)Z$/;

/**
 * Reads a map from names to ids.
 *
 * @param size - rows of the model's head
 * @throws ModelError checkpoint-invalid for other ids, a mark that is not there, a code that is left out
 */
export function readVocabulary(map: ConfigReader, size: number): ChameleonVocabulary {
  const entries = map.wholeNumbers(size - 1);
  const idOf = new Map(entries);
  const mark = (name: string): number => {
    const id = idOf.get(name);
    if (id === undefined) throw invalid(`has no ${name}`);
    return id;
  };
  const codeIds = readCodes(entries);
  // Pieces of text that begin with "<" are left out too: the reference never writes them.
  const isText = (name: string): boolean =>
    !name.startsWith("IMGIMG") && (!name.startsWith("<") || name === "<");
  const isControl = (name: string): boolean =>
    CODE.test(name) || OTHER_CONTROLS.test(name) || Object.values<string>(NAMES).includes(name);
  return {
    bos: mark(NAMES.bos),
    eos: mark(NAMES.eos),
    boi: mark(NAMES.boi),
    eoi: mark(NAMES.eoi),
    eot: mark(NAMES.eot),
    codeIds,
    textIds: entries.flatMap(([name, id]) => (isText(name) ? [id] : [])),
    controls: entries.flatMap(([name]) => (isControl(name) ? [name] : [])),
  };
}

/** Ids in the order of codes: IMGIMGFDZ is code 53, its decimal digits as letters. */
function readCodes(entries: readonly (readonly [string, number])[]): number[] {
  const byCode = new Map<number, number>();
  for (const [name, id] of entries) {
    const letters = CODE.exec(name)?.[1];
    if (letters === undefined) continue;
    const digits = letters.replaceAll(/[A-J]/g, (letter) => String("ABCDEFGHIJ".indexOf(letter)));
    byCode.set(Number(digits), id);
  }
  return Array.from({ length: byCode.size }, (_, code) => {
    const id = byCode.get(code);
    if (id === undefined) throw invalid(`has no picture code ${code}`);
    return id;
  });
}

function invalid(what: string): Error {
  return fail("checkpoint-invalid", `Chameleon's vocabulary ${what}.`);
}
