/** Settings of a video, and the list of keys. */

import { button, el } from "./dom";
import { DEFAULTS, type Settings } from "./request";
import type { Store } from "./store";
import { TEXT } from "./text";

function dialog(title: string, id: string, ...content: HTMLElement[]): HTMLDialogElement {
  const box: HTMLDialogElement = el("dialog", { id, "aria-label": title }, el("header", {}, el("h2", {}, title), button(TEXT.close, () => box.close(), { icon: "close" })), ...content);
  box.addEventListener("click", (event) => event.target === box && box.close());
  document.body.append(box);
  return box;
}

export function helpDialog(): HTMLDialogElement {
  const rows = TEXT.keys.map(([keys, what]) => el("tr", {}, el("th", { scope: "row" }, ...keys.split(", ").map((key) => el("kbd", {}, key))), el("td", {}, what)));
  return dialog(TEXT.help, "help", el("table", {}, el("tbody", {}, ...rows)));
}

export function settingsDialog(store: Store): HTMLDialogElement {
  const form = el("form", { class: "settings", method: "dialog" });
  const draw = (): void => form.replaceChildren(...fields(store));
  store.on(["presets"], draw);
  draw();
  const box = dialog(TEXT.settings, "settings", form);
  store.on(["settings"], () => box.open || draw());
  return box;
}

function fields(store: Store): HTMLElement[] {
  const set = (patch: Partial<Settings>): void => store.set({ settings: { ...store.state.settings, ...patch } });
  const { settings, presets } = store.state;
  const row = (label: string, field: HTMLElement, hint = ""): HTMLElement => el("label", {}, el("span", {}, label, hint ? el("small", {}, hint) : null), field);
  const number = (value: number | null, low: number, high: number, step: number, changed: (n: number | null) => void): HTMLInputElement => {
    const field = el("input", { type: "number", min: String(low), max: String(high), step: String(step), value: value === null ? "" : String(value) });
    field.addEventListener("change", () => {
      if (field.validity.valid) changed(field.value === "" ? null : Number(field.value));
    });
    return field;
  };
  const choice = (value: string, choices: [string, string][], changed: (value: string) => void): HTMLSelectElement => {
    const field = el("select", {}, ...choices.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
    field.addEventListener("change", () => changed(field.value));
    return field;
  };
  const text = (value: string, changed: (value: string) => void): HTMLInputElement => {
    const field = el("input", { type: "text", value });
    field.addEventListener("change", () => changed(field.value.trim()));
    return field;
  };
  const same = (names: readonly string[]): [string, string][] => names.map((name) => [name, name]);
  return [
    row(TEXT.seed, number(settings.seed, 0, 2 ** 31 - 1, 1, (seed) => set({ seed })), TEXT.seedHint),
    row(TEXT.fps, number(settings.fps, 1, 60, 1, (fps) => set({ fps: fps ?? DEFAULTS.fps }))),
    row(TEXT.size, text(settings.size, (size) => set({ size })), TEXT.sizeHint),
    row(TEXT.preset, choice(settings.preset, [["", TEXT.automatic], ...same(presets)], (preset) => set({ preset })), TEXT.presetHint),
    row(TEXT.lips, choice(settings.lips, Object.entries(TEXT.lipsChoices), (lips) => set({ lips }))),
    row(TEXT.headFactor, number(settings.head, 0, 4, 0.1, (head) => set({ head: head ?? DEFAULTS.head }))),
    row(TEXT.background, text(settings.background, (background) => set({ background })), TEXT.backgroundHint),
    row(TEXT.formatLabel, choice(settings.format, same(["mp4", "webm", "mov", "gif"]), (format) => set({ format }))),
  ];
}
