/** Small helpers to build elements. */

type Child = Node | string | null | false;
type Properties = Record<string, unknown>;

/** Makes an element: `class`, `data-…`, `aria-…`, `role` and the like are attributes, `on…` listeners, the rest properties. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, properties: Properties = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value as EventListener);
    else if (name === "class" || name === "role" || name === "for" || name.includes("-")) element.setAttribute(name, String(value));
    else (element as unknown as Properties)[name] = value;
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== false));
  return element;
}

const PATHS: Record<string, string> = {
  play: "M7 4.5v15l13-7.5z",
  pause: "M6 4.5h4v15H6zm8 0h4v15h-4z",
  start: "M5 5h2.5v14H5zm14 0v14l-10-7z",
  undo: "M9 5 4 10l5 5v-3.5h5a3.5 3.5 0 0 1 0 7h-3V21h3a6 6 0 0 0 0-12H9z",
  redo: "m15 5 5 5-5 5v-3.5h-5a3.5 3.5 0 0 0 0 7h3V21h-3a6 6 0 0 1 0-12h5z",
  record: "M12 14a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v5a3 3 0 0 0 3 3zm5-3a5 5 0 0 1-10 0H5a7 7 0 0 0 6 6.9V21h2v-3.1A7 7 0 0 0 19 11z",
  stop: "M6 6h12v12H6z",
  download: "M11 4h2v8l3-3 1.4 1.4L12 16l-5.4-5.6L8 9l3 3zM5 18h14v2H5z",
  close: "m6.4 5 5.6 5.6L17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4-5.6-5.6L6.4 19 5 17.6l5.6-5.6L5 6.4z",
  theme: "M12 3a9 9 0 1 0 0 18zm0 2v14a7 7 0 0 0 0-14z",
  help: "M11 17h2v2h-2zm1-12a4 4 0 0 1 2 7.4c-.7.5-1 .8-1 1.6v1h-2v-1c0-1.7.9-2.5 1.9-3.2A2 2 0 1 0 10 9H8a4 4 0 0 1 4-4z",
  settings: "M4 7h9.2a3 3 0 0 1 5.6 0H20v2h-1.2a3 3 0 0 1-5.6 0H4zm0 8h1.2a3 3 0 0 1 5.6 0H20v2h-9.2a3 3 0 0 1-5.6 0H4z",
  tall: "m12 3 4 4h-3v10h3l-4 4-4-4h3V7H8z",
  plus: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  minus: "M5 11h14v2H5z",
  bin: "M9 4h6l1 2h4v2H4V6h4zM6 9h12l-1 11H7z",
  restore: "M12 5a7 7 0 1 1-6.7 5h2.1A5 5 0 1 0 12 7v3L7.5 6.5 12 3z",
};

const SVG = "http://www.w3.org/2000/svg";

/** Makes an icon of 18 px in the colour of the text. */
export function icon(name: string): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name] ?? "");
  svg.append(path);
  return svg;
}

/** Makes a button with an icon, whose name is a tooltip, or with a text. */
export function button(label: string, onclick: () => void, options: { icon?: string; text?: string; class?: string; id?: string } = {}): HTMLButtonElement {
  return el(
    "button",
    { type: "button", title: label, "aria-label": label, class: options.class ?? "", id: options.id ?? "", onclick },
    options.icon ? icon(options.icon) : null,
    options.text ?? (options.icon ? null : label),
  );
}

/** Makes a button that opens a list of choices below it. */
export function menu(label: string, choices: () => { text: string; hint?: string; act: () => void }[], id: string): HTMLElement {
  const list = el("div", { class: "menu", role: "menu", hidden: true });
  const opener = el("button", { type: "button", id, "aria-haspopup": "menu", "aria-expanded": "false" }, label, el("span", { class: "caret", "aria-hidden": "true" }, "▾"));
  const close = (): void => {
    list.hidden = true;
    opener.setAttribute("aria-expanded", "false");
  };
  opener.addEventListener("click", () => {
    if (!list.hidden) return close();
    list.replaceChildren(
      ...choices().map((choice) =>
        el("button", { type: "button", role: "menuitem", onclick: () => (close(), choice.act()) }, choice.text, choice.hint ? el("small", {}, choice.hint) : null),
      ),
    );
    list.hidden = false;
    opener.setAttribute("aria-expanded", "true");
    (list.firstElementChild as HTMLElement | null)?.focus();
  });
  const box = el("div", { class: "menu-box" }, opener, list);
  box.addEventListener("keydown", (event) => {
    const items = [...list.children] as HTMLElement[];
    const at = items.indexOf(document.activeElement as HTMLElement);
    if (list.hidden) return;
    if (event.key === "Escape") (close(), opener.focus());
    else if (event.key === "ArrowDown") items[(at + 1) % items.length]?.focus();
    else if (event.key === "ArrowUp") items[(at - 1 + items.length) % items.length]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!box.contains(event.target as Node)) close();
  });
  return box;
}

/** Saves bytes as a file of the user's. */
export function saveFile(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Lets the user choose a file. */
export function chooseFile(accept: string, chosen: (file: File) => void): void {
  const input = el("input", { type: "file", accept, class: "chooser", "aria-hidden": "true", tabIndex: -1 });
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) chosen(file);
    input.remove();
  });
  input.addEventListener("cancel", () => input.remove());
  document.body.append(input);
  input.click();
}
