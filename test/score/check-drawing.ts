// Judges a drawing as GenEval does: the detected objects must be what the prompt asks for, no more and no less.
// The same rules as `fulfils` in demo/models/train/prompts.py.
import type { Colour, Found, Shape } from "./detector.ts";
import { detect } from "./detector.ts";

/** Equal objects that a prompt asks for; colour null means any. */
export interface Group {
  readonly count: number;
  readonly shape: Shape;
  readonly colour: Colour | null;
}

/** What a prompt asks for. */
export interface DrawingSpec {
  readonly groups: readonly Group[];
  /** Where the only object lies. */
  readonly place: "left" | "right" | "top" | "bottom" | "middle" | null;
  /** How the first group's object lies to the second's. */
  readonly relation: "left" | "right" | "above" | "below" | null;
  /** Where a prompt names the place of every object: all objects, each less than `within` pixels off. */
  readonly objects?: readonly PlacedObject[];
  readonly within?: number;
}

/** An object that an edited picture must show. */
export interface PlacedObject {
  readonly shape: Shape;
  readonly colour: Colour;
  /** Pixels of its middle. */
  readonly x: number;
  readonly y: number;
}

/** Least overlap with a template that counts as a shape. */
const GOOD = 0.7;
/** Pixels that an object may be off. */
const NEAR = 4;

/** Whether a 64x64 RGBA picture is what the spec asks for. */
export function checkDrawing(pixels: Uint8ClampedArray, spec: DrawingSpec): boolean {
  const { objects, within = NEAR } = spec;
  if (objects !== undefined) return showsExactly(pixels, objects, within);
  return fulfils(detect(pixels), spec);
}

/** Whether detected objects are what the spec asks for, no more and no less. */
export function fulfils(found: readonly Found[], spec: DrawingSpec): boolean {
  const wanted = spec.groups.reduce((sum, group) => sum + group.count, 0);
  if (found.length !== wanted || found.some((o) => o.overlap < GOOD)) return false;
  const members = spec.groups.map((group) => found.filter((o) => isOf(o, group)));
  if (members.some((hits, i) => hits.length !== spec.groups[i]?.count)) return false;
  const [first, second] = members.map((hits) => hits[0]);
  if (spec.place && !(first && isAt(first, spec.place))) return false;
  return !spec.relation || (!!first && !!second && lies(first, second, spec.relation));
}

/** Whether a 64x64 RGBA picture shows exactly these objects, each less than `within` pixels off its place. */
export function showsExactly(
  pixels: Uint8ClampedArray,
  objects: readonly PlacedObject[],
  within: number,
): boolean {
  const left = detect(pixels);
  for (const { shape, colour, x, y } of objects) {
    const place = left.findIndex(
      (o) =>
        o.shape === shape &&
        o.colour === colour &&
        o.overlap >= GOOD &&
        Math.abs(o.x - x) < within &&
        Math.abs(o.y - y) < within,
    );
    if (place < 0) return false;
    left.splice(place, 1);
  }
  return left.length === 0;
}

function isOf(object: Found, group: Group): boolean {
  return object.shape === group.shape && (group.colour ?? object.colour) === object.colour;
}

function isAt(object: Found, place: NonNullable<DrawingSpec["place"]>): boolean {
  const dx = object.x - 32;
  const dy = object.y - 32;
  const reach = Math.max(Math.abs(dx), Math.abs(dy));
  if (place === "middle") return reach <= 9;
  const far = { left: -dx, right: dx, top: -dy, bottom: dy }[place];
  return far >= 6 && far >= reach;
}

function lies(a: Found, b: Found, relation: NonNullable<DrawingSpec["relation"]>): boolean {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  return { left: dx, right: -dx, above: dy, below: -dy }[relation] > 8;
}
