import { describe, expect, test } from "vitest";

import { parseJson, parseJsonObject } from "../../../src/weights/json-file.ts";
import { topLevelKeys } from "../../../src/weights/top-level-keys.ts";

describe("parseJson", () => {
  test("gives what JSON.parse gives, in objects without a prototype", () => {
    const text = '{"a":[1,"x",true,null],"b":{"toString":1}}';
    const value = parseJsonObject(text, "config.json");
    expect(JSON.stringify(value)).toBe(text);
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(Object.getPrototypeOf(value["b"])).toBeNull();
    expect("hasOwnProperty" in value).toBe(false);
  });

  test("accepts a byte order mark", () => {
    expect(parseJson("\ufeff1", "a.json")).toBe(1);
  });

  test.each([
    ["nothing", ""],
    ["a cut text", '{"a":'],
    ["a page", "<html></html>"],
    ["NaN", '{"a":NaN}'],
    ["__proto__", '{"__proto__":{"polluted":true}}'],
    ["__proto__ deep inside", '[{"a":[{"__proto__":1}]}]'],
    ["100 levels", "[".repeat(100) + "]".repeat(100)],
  ])("refuses %s, naming the file", (_, text) => {
    expect(() => parseJson(text, "vae/config.json")).toThrow(/^vae\/config\.json /);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test.each(["[]", "1", "null", '"{}"'])("an object is wanted, not %s", (text) => {
    expect(() => parseJsonObject(text, "config.json")).toThrow(/expected an object/);
  });
});

describe("topLevelKeys", () => {
  test("shows keys in order, repeated ones too, and no others", () => {
    const text = '{ "a" : {"x":1,"a":[{"b":2}]}, "q\\"}{" :"a", "a":"b:", "\\u0061": [ "c" ] }';
    expect([...topLevelKeys(text)]).toEqual(["a", 'q"}{', "a", "a"]);
  });
});
