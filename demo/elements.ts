// Reaching into index.html, and making what it does not have. Text only goes in as text.

/** Names of HTML elements. */
type Tag = keyof HTMLElementTagNameMap;

/** What {@link create} sets on a new element. */
interface Properties {
  readonly className?: string;
  readonly text?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** The element of index.html with this id. @throws Error when it is absent or another tag */
export function find<K extends Tag>(tag: K, id: string): HTMLElementTagNameMap[K] {
  const found = document.querySelector<HTMLElementTagNameMap[K]>(`${tag}#${id}`);
  if (!found) throw new Error(`index.html has no <${tag} id="${id}">.`);
  return found;
}

/** A new element with its children. */
export function create<K extends Tag>(
  tag: K,
  { className, text, attributes = {} }: Properties = {},
  ...children: readonly Node[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className !== undefined) made.className = className;
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A button that calls `onClick`. */
export function button(text: string, onClick: () => void, className = ""): HTMLButtonElement {
  const made = create("button", { text, className, attributes: { type: "button" } });
  made.addEventListener("click", onClick);
  return made;
}

/** Fills a `<dl>` with rows of name and value. */
export function showFacts(
  list: HTMLDListElement,
  facts: readonly (readonly [name: string, value: string])[],
): void {
  list.replaceChildren(
    ...facts.flatMap(([name, value]) => [
      create("dt", { text: name }),
      create("dd", { text: value }),
    ]),
  );
}

/** Shows a sentence in an element that is hidden while there is none. */
export function showText(element: HTMLElement, text: string): void {
  element.textContent = text;
  element.hidden = text === "";
}
