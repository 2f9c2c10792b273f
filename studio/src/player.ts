/** Playing: the speech while drawing, the take's own video while a take is shown. One of them keeps the time. */

import { contentUrl, videoUrl } from "./service";
import { type Store, durationOf } from "./store";
import { el } from "./dom";

const DRIFT_SEC = 0.06;

export class Player {
  private readonly sound = new Audio();
  readonly videos = [video("a"), video("b")] as const;
  private shownUrl = ["", ""];
  /** Start of playing without any sound: time of day and time of the playhead. */
  private silent: { atMs: number; fromSec: number } | null = null;

  constructor(private readonly store: Store) {
    this.sound.preload = "auto";
    store.on(["speech"], ({ speech }) => {
      this.pause();
      if (speech) this.sound.src = contentUrl(speech.id);
      else this.sound.removeAttribute("src");
    });
    store.on(["shown", "beside", "takes"], () => this.load());
    for (const media of [this.sound, this.videos[0]]) media.addEventListener("ended", () => media === this.master && this.pause());
    this.videos[1].muted = true;
  }

  private get master(): HTMLMediaElement | null {
    const { state } = this.store;
    return state.shown ? this.videos[0] : state.speech ? this.sound : null;
  }

  private load(): void {
    const { shown, beside } = this.store.state;
    [shown, beside].forEach((id, i) => {
      const url = id ? videoUrl(id) : "";
      if (this.shownUrl[i] === url) return;
      this.shownUrl[i] = url;
      const media = this.videos[i]!;
      if (i === 0) this.pause();
      if (url) {
        media.src = url;
        media.addEventListener("loadedmetadata", () => (media.currentTime = this.store.state.timeSec), { once: true });
      } else {
        media.removeAttribute("src");
        media.load();
      }
    });
  }

  seek(wanted: number): void {
    const timeSec = Math.min(Math.max(wanted, 0), durationOf(this.store.state));
    for (const media of [this.sound, ...this.videos]) {
      if (media.src && media.readyState > 0 && Math.abs(media.currentTime - timeSec) > 0.005) media.currentTime = timeSec;
    }
    if (this.silent) this.silent = { atMs: performance.now(), fromSec: timeSec };
    this.store.set({ timeSec });
  }

  toggle(): void {
    if (this.store.state.isPlaying) this.pause();
    else this.play();
  }

  play(): void {
    const { state } = this.store;
    if (state.timeSec >= durationOf(state) - 0.05) this.seek(0);
    this.store.set({ isPlaying: true });
    const { master } = this;
    if (master) {
      master.currentTime = this.store.state.timeSec;
      void master.play().catch(() => this.pause());
      if (state.beside) void this.videos[1].play().catch(() => undefined);
    } else this.silent = { atMs: performance.now(), fromSec: this.store.state.timeSec };
    requestAnimationFrame(() => this.tick());
  }

  pause(): void {
    for (const media of [this.sound, ...this.videos]) media.pause();
    this.silent = null;
    if (this.store.state.isPlaying) this.store.set({ isPlaying: false });
  }

  private tick(): void {
    if (!this.store.state.isPlaying) return;
    const { master, silent } = this;
    const timeSec = silent ? silent.fromSec + (performance.now() - silent.atMs) / 1000 : (master?.currentTime ?? 0);
    if (timeSec >= durationOf(this.store.state)) this.pause();
    this.store.set({ timeSec: Math.min(timeSec, durationOf(this.store.state)) });
    const other = this.videos[1];
    if (this.store.state.beside && Math.abs(other.currentTime - timeSec) > DRIFT_SEC) other.currentTime = timeSec;
    requestAnimationFrame(() => this.tick());
  }
}

function video(name: string): HTMLVideoElement {
  return el("video", { class: `video ${name}`, playsInline: true, preload: "auto" });
}
