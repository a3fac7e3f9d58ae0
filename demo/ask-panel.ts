// A conversation about a picture, or about none.
import type { MessageInput, Model, TextUsage } from "web-umm";
import { create, find, showText } from "./elements.ts";
import { describeError, isAbort, seconds } from "./format.ts";
import { PictureWell } from "./picture-well.ts";

/** Longest answer, in tokens. */
const MAX_TOKENS = 256;

const section = find("section", "ask-section");
const conversation = find("div", "conversation");
const form = find("form", "ask-form");
const fields = find("fieldset", "ask-fields");
const question = find("input", "question");
const askButton = find("button", "ask-button");
const statusText = find("p", "ask-status");
const remember = find("input", "remember");
const newButton = find("button", "new-conversation");
const errorText = find("p", "ask-error");

/** Asks the loaded model and remembers what was said. */
export class AskPanel {
  readonly #onDone: (model: Model) => void;
  readonly #well: PictureWell;
  #model: Model | undefined;
  #messages: MessageInput[] = [];
  #running: AbortController | undefined;

  /** @param onDone - told the model after each answer: its counters have moved */
  constructor(onDone: (model: Model) => void) {
    this.#onDone = onDone;
    this.#well = new PictureWell({
      name: "asked",
      pasteArea: document,
      onChange: () => this.#forget(), // another picture is another topic
      onError: (text) => showText(errorText, text),
    });
    newButton.addEventListener("click", () => {
      this.#forget();
      question.focus();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#running) this.#running.abort();
      else if (this.#model) void this.#ask(this.#model);
    });
  }

  /**
   * Answers with this model from now on; with undefined, not at all.
   *
   * @param options.remembers - false for a model that has learned single questions only: each is asked anew
   */
  use(model: Model | undefined, options: { readonly remembers: boolean }): void {
    remember.checked = options.remembers;
    this.#model = model?.capabilities.generateText ? model : undefined;
    fields.disabled = !this.#model;
    this.#well.isEnabled = this.#model !== undefined;
    section.classList.toggle("waiting", !this.#model);
    this.#forget();
  }

  /** Starts a conversation about this picture. */
  attach(picture: ImageData): void {
    void this.#well.take(picture);
    section.scrollIntoView({ block: "nearest" });
    question.focus({ preventScroll: true });
  }

  #forget(): void {
    this.#running?.abort();
    this.#messages = [];
    conversation.replaceChildren();
    newButton.hidden = true;
    statusText.textContent = "";
  }

  async #ask(model: Model): Promise<void> {
    const controller = new AbortController();
    this.#running = controller;
    const text = question.value.trim() || question.placeholder;
    const before = remember.checked ? this.#messages : [];
    const asked = userMessage(text, before.length === 0 ? this.#well.picture : undefined);
    question.value = "";
    addBubble("user", text);
    const answer = addBubble("assistant", "");
    showAsking(true);
    try {
      const { signal } = controller;
      const messages = [...before, asked];
      const run = model.generateText({ messages, maxTokens: MAX_TOKENS, signal });
      for await (const event of run) {
        answer.append(event.text);
        scrollToEnd();
      }
      const result = await run;
      this.#messages = [...messages, { role: "assistant", content: result.text }];
      statusText.textContent = describeUsage(result.usage);
      this.#onDone(model);
    } catch (error) {
      showNoAnswer(answer, error);
    } finally {
      if (this.#running === controller) this.#running = undefined;
      showAsking(false);
    }
  }
}

function userMessage(text: string, image: ImageBitmap | undefined): MessageInput {
  if (!image) return { role: "user", content: text };
  return {
    role: "user",
    content: [
      { type: "image", image },
      { type: "text", text },
    ],
  };
}

function addBubble(role: "user" | "assistant", text: string): HTMLElement {
  const bubble = create("p", { className: role, text });
  conversation.append(bubble);
  newButton.hidden = false;
  scrollToEnd();
  return bubble;
}

function scrollToEnd(): void {
  conversation.scrollTop = conversation.scrollHeight;
}

function showAsking(isAsking: boolean): void {
  // Busy: what streams in is read aloud once, when it is complete.
  conversation.setAttribute("aria-busy", String(isAsking));
  askButton.textContent = isAsking ? "Stop" : "Ask";
  if (!isAsking) return;
  showText(errorText, "");
  statusText.textContent = "Reading…";
}

function showNoAnswer(answer: HTMLElement, error: unknown): void {
  if (answer.textContent === "") answer.textContent = "(no answer)";
  statusText.textContent = isAbort(error) ? "Stopped." : "";
  if (!isAbort(error)) showText(errorText, describeError(error));
}

function describeUsage({ completionTokens, prefillSeconds, decodeSeconds }: TextUsage): string {
  const each = decodeSeconds / Math.max(1, completionTokens - 1);
  return `read in ${seconds(prefillSeconds)} · ${completionTokens} ${completionTokens === 1 ? "token" : "tokens"}, ${seconds(each)} each`;
}
