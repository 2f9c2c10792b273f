/** Short messages at the lower edge, and the bar that says that the service is away. */

import { about, ConnectionError } from "./service";
import { button, el } from "./dom";
import type { Store } from "./store";
import { TEXT } from "./text";

const SHOWN_MS = 7000;
const RETRY_MS = 2000;

export class Notices {
  readonly element = el("div", { class: "notices", role: "status", "aria-live": "polite" });
  readonly bar = el("div", { class: "bar", role: "alert", hidden: true, id: "connection" }, TEXT.connectionLost);
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly store: Store) {
    store.on(["isConnected"], ({ isConnected }) => {
      this.bar.hidden = isConnected;
      if (isConnected) this.show(TEXT.connectionBack);
      else this.check();
    });
  }

  /** Shows a result or an error of the page or of a call. */
  readonly report = (message: unknown): void => {
    if (message instanceof ConnectionError) return this.store.set({ isConnected: false });
    if (message instanceof Error) return this.show(message.message, true);
    this.show(String(message));
  };

  show(text: string, isError = false, action?: { text: string; act: () => void }): void {
    const notice = el("div", { class: isError ? "notice error" : "notice" }, el("span", {}, text));
    const remove = (): void => notice.remove();
    if (action) notice.append(button(action.text, () => (remove(), action.act()), { text: action.text, class: "primary" }));
    notice.append(button(TEXT.dismiss, remove, { icon: "close" }));
    this.element.append(notice);
    while (this.element.children.length > 4) this.element.firstElementChild!.remove();
    if (!action) setTimeout(remove, isError ? 2 * SHOWN_MS : SHOWN_MS);
  }

  /** Looks every other second whether the service is there again. */
  private check(): void {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      about().then(
        () => this.store.set({ isConnected: true }),
        (error) => (error instanceof ConnectionError ? this.check() : this.store.set({ isConnected: true })),
      );
    }, RETRY_MS);
  }
}
