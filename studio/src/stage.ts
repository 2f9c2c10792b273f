/** The stage: the live preview, or a take, or two takes with a wipe between them. */

import { button, el, icon } from "./dom";
import type { Player } from "./player";
import type { Frame } from "./preview";
import { canPreview } from "./preview";
import { type FaceBox, ServiceError, contentUrl, faceBox } from "./service";
import type { Store } from "./store";
import { shortMark } from "./takes";
import { TEXT } from "./text";

/** Share of the stage's height that a face fills. */
const FACE_SHARE = 0.62;
const LARGEST_ZOOM = 6;

export class Stage {
  readonly element: HTMLElement;
  private readonly picture = el("img", { class: "live", alt: "", hidden: true, draggable: false });
  private readonly hint = el("p", { class: "hint" }, TEXT.noPortrait);
  private readonly caption = el("figcaption", { class: "caption", id: "caption" });
  private readonly wipe = el("input", { type: "range", min: "0", max: "100", value: "50", class: "wipe", "aria-label": TEXT.wipe, hidden: true, id: "wipe" });
  private readonly names = [el("span", { class: "name-a" }), el("span", { class: "name-b" })] as const;
  private readonly play = button(TEXT.play, () => this.player.toggle(), { icon: "play", class: "round", id: "play" });
  private readonly live = button(TEXT.liveHint, () => this.store.set({ shown: null, beside: null }), { text: TEXT.live, class: "live-switch", id: "live" });
  private readonly closeUp = button(TEXT.closeUpHint, () => this.switchCloseUp(), { text: TEXT.closeUp, id: "close-up" });
  private readonly screen: HTMLElement;
  private face: FaceBox | null = null;
  private isCloseUp = true;
  private url = "";
  private error = "";

  constructor(
    private readonly store: Store,
    private readonly player: Player,
  ) {
    this.screen = el("div", { class: "screen" }, this.picture, ...player.videos.map((video, i) => el("div", { class: `pane ${"ab"[i]}` }, video)), ...this.names, this.wipe, this.hint);
    const toStart = button(TEXT.toStart, () => player.seek(0), { icon: "start" });
    this.element = el("figure", { class: "stage" }, this.screen, this.caption, el("div", { class: "transport" }, toStart, this.play, this.live, this.closeUp));
    this.wipe.addEventListener("input", () => this.screen.style.setProperty("--wipe", `${this.wipe.value}%`));
    store.on(["portrait"], () => this.portrait());
    store.on(["shown", "beside", "takes", "portrait"], () => this.arrange());
    store.on(["isPlaying"], ({ isPlaying }) => {
      this.play.replaceChildren(icon(isPlaying ? "pause" : "play"));
      this.play.title = isPlaying ? TEXT.pause : TEXT.play;
      this.play.setAttribute("aria-label", this.play.title);
    });
    for (const shown of [this.picture, ...player.videos]) {
      for (const event of ["load", "loadedmetadata"]) shown.addEventListener(event, () => this.frame());
    }
    new ResizeObserver(() => this.frame()).observe(this.screen);
    this.arrange();
  }

  private switchCloseUp(): void {
    this.isCloseUp = !this.isCloseUp;
    this.frame();
  }

  /** Enlarges picture and videos about the face, or shows them whole. */
  private frame(): void {
    this.closeUp.hidden = !this.face;
    this.closeUp.setAttribute("aria-pressed", String(this.isCloseUp));
    const { clientWidth: width, clientHeight: height } = this.screen;
    for (const shown of [this.picture, ...this.player.videos]) {
      const [w, h] = shown instanceof HTMLImageElement ? [shown.naturalWidth, shown.naturalHeight] : [shown.videoWidth, shown.videoHeight];
      if (!this.face || !this.isCloseUp || !w || !h) {
        shown.style.transform = "";
        continue;
      }
      const fit = Math.min(width / w, height / h);
      const zoom = Math.min(Math.max((FACE_SHARE * height) / (this.face.height * h * fit), 1), LARGEST_ZOOM);
      const x = (this.face.x + this.face.width / 2 - 0.5) * w * fit * zoom;
      // Nothing is shown beyond the upper and lower edge of the picture.
      const spare = Math.max(0, (h * fit * zoom - height) / 2);
      const y = Math.min(Math.max((this.face.y + this.face.height * 0.48 - 0.5) * h * fit * zoom, -spare), spare);
      const sideways = Math.max(0, (w * fit * zoom - width) / 2);
      shown.style.transform = `translate(${-Math.min(Math.max(x, -sideways), sideways)}px, ${-y}px) scale(${zoom})`;
    }
  }

  private async findFace(): Promise<void> {
    const { portrait } = this.store.state;
    this.face = null;
    this.frame();
    if (!portrait) return;
    try {
      const face = await faceBox(portrait.id);
      if (this.store.state.portrait?.id === portrait.id) this.face = face;
    } catch (error) {
      this.showError(error instanceof ServiceError ? error.message : "");
    }
    this.frame();
  }

  private portrait(): void {
    void this.findFace();
    const { portrait } = this.store.state;
    this.picture.hidden = !portrait;
    this.picture.classList.remove("draft");
    if (portrait && portrait.kind === "image") this.picture.src = contentUrl(portrait.id);
    else this.picture.removeAttribute("src");
  }

  /** Shows a preview; its address is released when the next comes. */
  showFrame(frame: Frame): void {
    const url = URL.createObjectURL(frame.picture);
    this.picture.src = url;
    this.picture.hidden = false;
    this.picture.dataset["quality"] = frame.quality;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = url;
    if (this.store.state.shown) return;
    const quality = frame.quality === "full" ? TEXT.fullFrame : TEXT.draftFrame;
    this.caption.textContent = TEXT.previewNote(frame.timeSec, quality, TEXT.milliseconds(frame.tookMs));
  }

  showError(message: string): void {
    if (message === this.error) return;
    this.error = message;
    this.caption.classList.toggle("error", message !== "");
    if (message) this.caption.textContent = message;
  }

  private arrange(): void {
    const { state } = this.store;
    const [shown, beside] = [state.shown, state.beside].map((id) => state.takes.find((take) => take.id === id));
    const [first, second] = this.player.videos;
    first.parentElement!.hidden = !shown;
    second.parentElement!.hidden = !beside;
    this.wipe.hidden = !beside;
    this.picture.hidden = Boolean(shown) || !state.portrait;
    this.hint.hidden = Boolean(shown) || state.portrait !== null;
    this.screen.classList.toggle("wiped", Boolean(beside));
    this.names[0].textContent = beside ? (shown?.name ?? "") : "";
    this.names[1].textContent = beside?.name ?? "";
    this.live.setAttribute("aria-pressed", String(!shown));
    const mark = shown?.job.result?.mark ?? "";
    if (shown) this.caption.textContent = `${shown.name} · ${shortMark(mark)}`;
    else if (!canPreview(state)) this.caption.textContent = "";
    this.caption.title = mark;
  }
}
