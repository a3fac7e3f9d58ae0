// Finds the shapes in a 64x64 picture. The same algorithm as demo/models/train/detector.py, number for number:
// ground = per-channel median of the border; foreground = pixels that differ from it by more than 60 in a
// channel, split into 4-connected components; colour = per-channel median of a component's inner pixels, nearest
// palette entry; shape = best intersection over union with templates of every shape at several radii.

/** Side of the pictures that the embedded model draws. */
export const SIZE = 64;

export const SHAPES = ["circle", "square", "triangle", "cross", "star"] as const;
export type Shape = (typeof SHAPES)[number];

type Rgb = readonly [number, number, number];

const PALETTE = {
  red: [225, 35, 40],
  green: [25, 165, 60],
  blue: [40, 75, 235],
  yellow: [245, 205, 20],
  purple: [150, 40, 175],
  black: [25, 25, 25],
} as const satisfies Record<string, Rgb>;
export type Colour = keyof typeof PALETTE;
export const COLOURS = Object.keys(PALETTE) as Colour[];

/** One object of a picture. */
export interface Found {
  readonly shape: Shape;
  readonly colour: Colour;
  /** Mean position of its pixels. */
  readonly x: number;
  readonly y: number;
  /** Intersection over union with the best template: 1 is a perfect shape. */
  readonly overlap: number;
}

const DIFFERENCE = 60;
const SPECK = 12; // smaller components are compression dust
const WINDOW = 18; // templates span 2 * WINDOW + 1 pixels
const SIDE = 2 * WINDOW + 1;
const SUB = 4; // sub-pixels per pixel and axis
const RADII = Array.from({ length: 15 }, (_, i) => 6.5 + i / 2);

const STAR = Array.from({ length: 10 }, (_, i) => {
  const r = i % 2 === 0 ? 1 : 0.45;
  const angle = (Math.PI * i) / 5;
  return { x: r * Math.sin(angle), y: -r * Math.cos(angle) + 0.095 };
});

/** All objects of an RGBA picture of 64x64 pixels. */
export function detect(pixels: Uint8ClampedArray): Found[] {
  if (pixels.length !== SIZE * SIZE * 4) throw new RangeError("a picture of 64x64 RGBA pixels");
  const ground = medianColour(pixels, borderPixels());
  const isForeground = (p: number): boolean =>
    [0, 1, 2].some((c) => Math.abs(channel(pixels, p, c) - (ground[c] ?? 0)) > DIFFERENCE);
  const left = Array.from({ length: SIZE * SIZE }, (_, p) => isForeground(p));
  const found: Found[] = [];
  for (let seed = 0; seed < left.length; seed++) {
    if (!left[seed]) continue;
    const component = takeComponent(left, seed);
    if (component.length >= SPECK) found.push(describe(pixels, component));
  }
  return found;
}

function describe(pixels: Uint8ClampedArray, component: readonly number[]): Found {
  const own = new Set(component);
  const inner = component.filter((p) => neighbours(p).every((q) => own.has(q)));
  const xs = component.map((p) => p % SIZE);
  const ys = component.map((p) => Math.floor(p / SIZE));
  return {
    ...bestTemplate(
      own,
      Math.min(...xs) + Math.max(...xs) + 1,
      Math.min(...ys) + Math.max(...ys) + 1,
    ),
    colour: nearestColour(medianColour(pixels, inner.length > 0 ? inner : component)),
    x: mean(xs) + 0.5,
    y: mean(ys) + 0.5,
  };
}

/** Flat indices of a 4-connected component, removed from `left`. */
function takeComponent(left: boolean[], seed: number): number[] {
  left[seed] = false;
  const found = [seed];
  for (const p of found) {
    for (const q of neighbours(p)) {
      if (!left[q]) continue;
      left[q] = false;
      found.push(q);
    }
  }
  return found;
}

/** The pixels beside, above and below one, inside the picture. */
function neighbours(p: number): number[] {
  const x = p % SIZE;
  const out: number[] = [];
  if (x > 0) out.push(p - 1);
  if (x < SIZE - 1) out.push(p + 1);
  if (p >= SIZE) out.push(p - SIZE);
  if (p < SIZE * (SIZE - 1)) out.push(p + SIZE);
  return out;
}

/** The shape whose template covers the component best; `x2`, `y2` are twice the centre of its box. */
function bestTemplate(
  own: ReadonlySet<number>,
  x2: number,
  y2: number,
): { readonly shape: Shape; readonly overlap: number } {
  const px = Math.floor(x2 / 2);
  const py = Math.floor(y2 / 2);
  let best: { shape: Shape; overlap: number } = { shape: "circle", overlap: -1 };
  for (const shape of SHAPES) {
    for (const radius of RADII) {
      const offsets = template(shape, radius, x2 % 2, y2 % 2);
      let shared = 0;
      for (const { dx, dy } of offsets) {
        const x = px + dx;
        const y = py + dy;
        if (x >= 0 && x < SIZE && y >= 0 && y < SIZE && own.has(y * SIZE + x)) shared++;
      }
      const overlap = shared / (offsets.length + own.size - shared);
      if (overlap > best.overlap) best = { shape, overlap };
    }
  }
  return best;
}

interface Offset {
  readonly dx: number;
  readonly dy: number;
}

const templates = new Map<string, readonly Offset[]>();

/** Pixels (as offsets from the one that holds the centre) at least half covered by a shape. */
function template(shape: Shape, radius: number, halfX: number, halfY: number): readonly Offset[] {
  const key = `${shape} ${radius} ${halfX} ${halfY}`;
  const known = templates.get(key);
  if (known) return known;
  const offsets: Offset[] = [];
  for (let i = 0; i < SIDE * SIDE; i++) {
    const dx = (i % SIDE) - WINDOW;
    const dy = Math.floor(i / SIDE) - WINDOW;
    let covered = 0;
    for (let s = 0; s < SUB * SUB; s++) {
      const x = dx + ((s % SUB) + 0.5) / SUB - halfX / 2;
      const y = dy + (Math.floor(s / SUB) + 0.5) / SUB - halfY / 2;
      if (isInside(shape, x / radius, y / radius)) covered++;
    }
    if (covered >= (SUB * SUB) / 2) offsets.push({ dx, dy });
  }
  templates.set(key, offsets);
  return offsets;
}

/** Whether a point, in radii from the centre, lies in the shape. */
function isInside(shape: Shape, x: number, y: number): boolean {
  const ax = Math.abs(x);
  const ay = Math.abs(y);
  switch (shape) {
    case "circle":
      return x * x + y * y <= 1;
    case "square":
      return Math.max(ax, ay) <= 0.88;
    case "triangle":
      return y <= 0.9 && y >= -0.9 && ax <= (y + 0.9) / 1.8;
    case "cross":
      return (ax <= 0.34 && ay <= 1) || (ay <= 0.34 && ax <= 1);
    default:
      return isInStar(x, y);
  }
}

function isInStar(x: number, y: number): boolean {
  let odd = false;
  STAR.forEach((a, i) => {
    const b = STAR[(i + 1) % STAR.length] ?? a;
    const crosses = a.y > y !== b.y > y;
    if (crosses && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y + 1e-12) + a.x) odd = !odd;
  });
  return odd;
}

function nearestColour(rgb: Rgb): Colour {
  const distance = (name: Colour): number =>
    PALETTE[name].reduce((sum, value, c) => sum + (value - (rgb[c] ?? 0)) ** 2, 0);
  return COLOURS.reduce((best, name) => (distance(name) < distance(best) ? name : best));
}

function medianColour(pixels: Uint8ClampedArray, places: readonly number[]): Rgb {
  const of = (c: number): number => median(places.map((p) => channel(pixels, p, c)));
  return [of(0), of(1), of(2)];
}

/** Of an even number of values, the mean of the two middle ones. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const high = sorted[half] ?? 0;
  return sorted.length % 2 === 1 ? high : (high + (sorted[half - 1] ?? 0)) / 2;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function channel(pixels: Uint8ClampedArray, p: number, c: number): number {
  return pixels[4 * p + c] ?? 0;
}

function borderPixels(): number[] {
  return Array.from({ length: SIZE * SIZE }, (_, p) => p).filter((p) => neighbours(p).length < 4);
}
