// The score's table: one line for every kind of item and one for all, beside the reference's verdicts.

/** @typedef {{ name: string, right: number, of: number, reference: number, same: number }} Line */
/** @typedef {import("./sets.mjs").ScoreSet} ScoreSet */

/**
 * Lines of what one backend was judged for.
 *
 * @param {ScoreSet} set
 * @param {string} backend
 * @param {ReadonlyMap<string, ReadonlyMap<number, boolean>>} verdicts - by part, then by place in the part
 * @returns {Line[]}
 */
export function linesOf({ family, parts }, backend, verdicts) {
  return parts.flatMap(({ name, kinds, reference }) => {
    const judged = verdicts.get(name) ?? new Map();
    return [...new Set(kinds), "all"].flatMap((kind) => {
      const places = [...judged.keys()].filter((place) => kind === "all" || kinds[place] === kind);
      if (places.length === 0) return [];
      const right = places.filter((place) => judged.get(place)).length;
      const same = places.filter((place) => judged.get(place) === reference[place]).length;
      const expected = places.filter((place) => reference[place]).length / places.length;
      const title = `${family} ${backend} ${name} ${kind}`;
      return [{ name: title, right, of: places.length, reference: expected, same }];
    });
  });
}

/** @param {readonly Line[]} lines */
export function printTable(lines) {
  console.log(
    `\n${"".padEnd(46)} ${"right".padStart(9)} ${"score".padStart(6)}  reference  same verdict`,
  );
  for (const { name, right, of, reference, same } of lines) {
    const fraction = `${right}/${of}`.padStart(9);
    const score = (right / of).toFixed(3).padStart(6);
    const wanted = reference.toFixed(3).padStart(9);
    console.log(`${name.padEnd(46)} ${fraction} ${score}  ${wanted}  ${same}/${of}`);
  }
}

/**
 * Items of one family on which two backends disagree.
 *
 * @param {ReadonlyMap<string, ReadonlyMap<number, boolean>>} one
 * @param {ReadonlyMap<string, ReadonlyMap<number, boolean>>} other
 */
export function disagreements(one, other) {
  let count = 0;
  for (const [part, judged] of other) {
    for (const [place, verdict] of judged) {
      const before = one.get(part)?.get(place);
      if (before !== undefined && before !== verdict) count += 1;
    }
  }
  return count;
}
