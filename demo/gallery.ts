// The pictures that were drawn, newest first, and what can be done with each.
import type { DrawOutput, GeneratedImage } from "web-umm";
import { paint } from "./canvas.ts";
import type { Picture } from "./canvas.ts";
import { button, create, find } from "./elements.ts";
import { seconds } from "./format.ts";

const gallery = find("div", "gallery");

/** What a user can do with a picture, beside keeping it. */
export interface PictureAction {
  readonly label: string;
  readonly run: (picture: ImageData) => void;
}

/** The frames of one call, which is the newest of the gallery. */
export interface Frames {
  /** A preview. */
  show(image: number, picture: Picture): void;
  /** The pictures, with what made them. */
  finish(output: DrawOutput, actions: readonly PictureAction[]): void;
  /** Takes the frames away. */
  drop(): void;
}

/** Puts empty frames into the gallery. @param text - what is drawn */
export function showFrames(text: string, pictures: number): Frames {
  const frames = Array.from({ length: pictures }, () => {
    const attributes = { role: "img", "aria-label": text, width: "1", height: "1" };
    const canvas = create("canvas", { className: "small", attributes });
    const figure = create("figure", { className: "pending" }, canvas);
    return { canvas, figure };
  });
  gallery.prepend(...frames.map(({ figure }) => figure));
  return {
    show(image, picture) {
      const frame = frames[image];
      if (frame) paint(frame.canvas, picture);
    },
    finish(output, actions) {
      for (const [index, image] of output.images.entries()) {
        const frame = frames[index];
        if (!frame) continue;
        paint(frame.canvas, image.imageData);
        frame.figure.classList.remove("pending");
        frame.figure.append(caption(text, output, image, actions));
      }
    },
    drop() {
      for (const { figure } of frames) figure.remove();
    },
  };
}

function caption(
  text: string,
  { seed: usedSeed, steps: usedSteps, guidance: weight, timings }: DrawOutput,
  image: GeneratedImage,
  actions: readonly PictureAction[],
): HTMLElement {
  const made = `seed ${usedSeed} · ${usedSteps} steps · guidance ${weight}`;
  const took = `prompt ${seconds(timings.promptSeconds)} · steps ${seconds(timings.stepsSeconds)} · decode ${seconds(timings.decodeSeconds)}`;
  return create(
    "figcaption",
    {},
    create("p", { text }),
    create("p", { className: "note numbers", text: made }),
    create("p", { className: "note numbers", text: took }),
    create(
      "p",
      { className: "actions" },
      button("Download PNG", () => void download(text, image), "quiet"),
      ...actions.map(({ label, run }) => button(label, () => run(image.imageData), "quiet")),
    ),
  );
}

async function download(text: string, image: GeneratedImage): Promise<void> {
  const url = URL.createObjectURL(await image.toBlob());
  const name =
    text
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, "-")
      .slice(0, 60) || "picture";
  create("a", { attributes: { href: url, download: `${name}.png` } }).click();
  // The browser has taken the data when the click returns; a minute is for those that ask where to.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
