/** The list of takes: progress, cancel, show, compare, download. */

import { button, el } from "./dom";
import type { Renders } from "./renders";
import { videoUrl } from "./service";
import type { Store, Take } from "./store";
import { TEXT } from "./text";

export function statusText(take: Take): string {
  const { job } = take;
  switch (job.status) {
    case "queued":
      return TEXT.queued(job.position ?? 0);
    case "running":
      return TEXT.running(job.done, job.total, job.seconds_left);
    case "done":
      return job.result ? TEXT.done(job.result.frames, job.result.width, job.result.height) : "";
    case "cancelled":
      return TEXT.cancelled;
    case "failed":
      return job.error?.message ?? TEXT.failed;
  }
}

/** The sentence of a mark, without the list of models that follows it. */
export function shortMark(mark: string): string {
  return mark.split(" (")[0]!;
}

const MOST_NOTES = 3;

export class Takes {
  readonly element: HTMLElement;
  private readonly list = el("ol", { class: "take-list" });

  constructor(
    private readonly store: Store,
    private readonly renders: Renders,
  ) {
    this.element = el("section", { class: "panel takes", "aria-label": TEXT.takes }, el("h2", {}, TEXT.takes), this.list);
    store.on(["takes", "shown", "beside"], () => this.draw());
    this.draw();
  }

  private draw(): void {
    const { takes } = this.store.state;
    if (!takes.length) return this.list.replaceChildren(el("li", { class: "none" }, TEXT.noTakes));
    const focused = (document.activeElement as HTMLElement | null)?.id;
    this.list.replaceChildren(...[...takes].reverse().map((take) => this.item(take)));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  private item(take: Take): HTMLElement {
    const { job } = take;
    const { shown, beside } = this.store.state;
    const isActive = job.status === "queued" || job.status === "running";
    const progress = isActive ? el("progress", { max: job.total || 1, value: job.total ? job.done : 0, "aria-label": take.name }) : null;
    if (progress && !job.total) progress.removeAttribute("value");
    return el(
      "li",
      { class: `take ${job.status}${take.id === shown ? " shown" : ""}`, "data-take": take.id, "data-status": job.status },
      el("div", { class: "take-title" }, el("strong", {}, take.name), el("span", { class: "take-status" }, statusText(take))),
      progress,
      job.result ? el("small", { class: "mark", title: job.result.mark }, shortMark(job.result.mark)) : null,
      ...job.notes.slice(0, MOST_NOTES).map((note) => el("small", { class: "note" }, note)),
      el("div", { class: "take-actions" }, ...this.actions(take, isActive, shown, beside)),
    );
  }

  private actions(take: Take, isActive: boolean, shown: string | null, beside: string | null): HTMLElement[] {
    const name = (what: string): string => `${what}-${take.id}`;
    if (isActive) return [button(TEXT.cancel, () => void this.renders.cancel(take), { id: name("cancel") })];
    const removal = button(TEXT.removeTake, () => void this.renders.remove(take), { icon: "bin", id: name("remove") });
    if (take.job.status !== "done") return [removal];
    const show = button(TEXT.show, () => this.renders.show(take, null), { id: name("show") });
    show.setAttribute("aria-pressed", String(take.id === shown));
    const compare = button(TEXT.compare, () => this.store.set({ beside: take.id === beside ? null : take.id }), { id: name("compare") });
    compare.setAttribute("aria-pressed", String(take.id === beside));
    const download = el("a", { class: "button", href: videoUrl(take.id, true), download: `${take.name}.${take.job.result?.format ?? "mp4"}`, id: name("download") }, TEXT.download);
    const restore = take.score ? [button(TEXT.restoreCurves, () => this.store.edit(take.score!), { icon: "restore", id: name("restore") })] : [];
    return [show, ...(shown && shown !== take.id ? [compare] : []), download, ...restore, removal];
  }
}
