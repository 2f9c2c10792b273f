/** Portrait, speech and performance: places to drop a file, to choose one, to record, to type. */

import { button, chooseFile, el, icon } from "./dom";
import type { Inputs, Report } from "./inputs";
import { Microphone } from "./microphone";
import { contentUrl } from "./service";
import type { Store } from "./store";
import { TEXT } from "./text";
import { clock } from "./axis";

const PICTURES = "image/*,video/*";
const SOUNDS = "audio/*,video/*";
const PERFORMANCES = "video/*,.csv,.json,application/json,text/csv";

interface Place {
  readonly id: string;
  readonly label: string;
  readonly hint: string;
  readonly accept: string;
  readonly use: (file: File) => void;
}

export class Sources {
  readonly element: HTMLElement;
  private readonly thumbnail = el("img", { class: "thumbnail", alt: "", hidden: true });
  private readonly texts = new Map<string, HTMLElement>();
  private readonly busy = el("p", { class: "busy", role: "status" });

  constructor(
    private readonly store: Store,
    inputs: Inputs,
    report: Report,
  ) {
    const places: Place[] = [
      { id: "portrait", label: TEXT.portrait, hint: TEXT.portraitHint, accept: PICTURES, use: (file) => void inputs.usePortrait(file) },
      { id: "speech", label: TEXT.speech, hint: TEXT.speechHint, accept: SOUNDS, use: (file) => void inputs.useSpeech(file) },
      { id: "actor", label: TEXT.actor, hint: TEXT.actorHint, accept: PERFORMANCES, use: (file) => void inputs.usePerformance(file) },
    ];
    const boxes = places.map((place) => this.box(place));
    boxes[0]!.prepend(this.thumbnail);
    this.element = el(
      "section",
      { class: "panel sources", "aria-label": TEXT.sources },
      el("h2", {}, TEXT.sources),
      boxes[0]!,
      this.consent(),
      boxes[1]!,
      el("div", { class: "beside" }, this.recorder(inputs, report), this.speaker(inputs)),
      boxes[2]!,
      this.busy,
    );
    store.on(["portrait", "speech"], () => this.draw());
    store.on(["busy"], (state) => {
      this.busy.textContent = state.busy;
      this.busy.classList.toggle("on", state.busy !== "");
    });
  }

  private box(place: Place): HTMLElement {
    const text = el("span", { class: "drop-text" }, place.hint);
    this.texts.set(place.id, text);
    const box = el("button", { type: "button", class: "drop", id: `drop-${place.id}`, onclick: () => chooseFile(place.accept, place.use) }, el("span", { class: "drop-body" }, el("strong", {}, place.label), text));
    box.addEventListener("dragover", (event) => {
      event.preventDefault();
      box.classList.add("over");
    });
    box.addEventListener("dragleave", () => box.classList.remove("over"));
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      box.classList.remove("over");
      document.body.classList.remove("dropping");
      const file = event.dataTransfer?.files[0];
      if (file) place.use(file);
    });
    return box;
  }

  /** The question who agreed to the portrait's use; shown with a portrait, and as long as it is empty, by a border. */
  private consent(): HTMLElement {
    const field = el("input", { type: "text", id: "consent", placeholder: TEXT.consentHint, title: TEXT.consentTitle, required: true });
    const label = el("label", { class: "consent", hidden: true }, el("span", {}, TEXT.consent), field);
    field.addEventListener("change", () => this.store.set({ settings: { ...this.store.state.settings, consent: field.value.trim() } }));
    this.store.on(["portrait", "settings"], ({ portrait, settings }) => {
      label.hidden = !portrait;
      field.value = settings.consent;
    });
    return label;
  }

  private recorder(inputs: Inputs, report: Report): HTMLElement {
    const label = el("span", {}, TEXT.record);
    const recorder = el("button", { type: "button", id: "record" }, icon("record"), label);
    const microphone = new Microphone(
      (seconds) => {
        label.textContent = seconds === null ? TEXT.record : TEXT.stopRecording(seconds);
        recorder.classList.toggle("recording", seconds !== null);
      },
      (file) => void inputs.useSpeech(file),
      () => report(TEXT.noMicrophone),
    );
    recorder.addEventListener("click", () => microphone.toggle());
    return recorder;
  }

  /** A text to be spoken, where the service has a voice. */
  private speaker(inputs: Inputs): HTMLElement {
    const field = el("textarea", { rows: 2, placeholder: TEXT.sayHint, "aria-label": TEXT.sayHint, maxLength: 2000 });
    const speak = (): void => {
      if (field.value.trim()) void inputs.saySpeech(field.value.trim());
    };
    const form = el("div", { class: "say", hidden: true }, field, button(TEXT.say, speak));
    this.store.on(["voices"], ({ voices }) => (form.hidden = voices.length === 0));
    return form;
  }

  private draw(): void {
    const { portrait, speech } = this.store.state;
    const show = (id: string, name: string | undefined, hint: string): void => {
      const text = this.texts.get(id)!;
      text.textContent = name ?? hint;
      text.title = name ?? "";
      text.closest(".drop")!.classList.toggle("full", name !== undefined);
    };
    show("portrait", portrait?.name, TEXT.portraitHint);
    show("speech", speech ? `${speech.name} · ${clock(speech.durationSec ?? 0, 1)}` : undefined, TEXT.speechHint);
    this.thumbnail.hidden = portrait?.kind !== "image";
    if (portrait?.kind === "image") this.thumbnail.src = contentUrl(portrait.id);
  }
}
