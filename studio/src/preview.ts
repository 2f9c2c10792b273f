/** Live preview: one request at a time, the newest wins; the frame as rendered once the hand rests. */

import { bodyOf } from "./request";
import { ConnectionError, type Quality, ServiceError, preview } from "./service";
import { type State, type Store, durationOf } from "./store";

export interface Frame {
  readonly picture: Blob;
  readonly timeSec: number;
  readonly quality: Quality;
  /** Milliseconds from the change to the picture's arrival. */
  readonly tookMs: number;
}

const REST_MS = 900;
const FRAME_SEC = 1 / 25;

/** Whether there is anything to preview beside the portrait itself. */
export function canPreview(state: State): boolean {
  return state.portrait !== null && (state.speech !== null || Object.keys(state.score.lanes).length > 0);
}

export class Previewer {
  /** Of this page alone: two pages do not supersede each other. */
  private readonly stream = crypto.randomUUID();
  private flight: { abort: AbortController; quality: Quality } | null = null;
  /** Time of the change that waits; null for none. */
  private waitingSince: number | null = null;
  private rest: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly store: Store,
    private readonly show: (frame: Frame) => void,
    private readonly failed: (message: string) => void,
  ) {
    const keys = ["score", "settings", "portrait", "speech", "timeSec", "shown", "isConnected"] as const;
    store.on(keys, () => this.changed());
    store.on(["isDragging", "isPlaying"], () => this.restart());
  }

  private changed(): void {
    if (!this.isWanted()) return;
    this.waitingSince ??= performance.now();
    if (this.flight?.quality === "full") this.flight.abort.abort();
    else if (!this.flight) void this.send("small");
    this.restart();
  }

  private isWanted(): boolean {
    const { state } = this.store;
    return state.shown === null && state.isConnected && canPreview(state);
  }

  private restart(): void {
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      const { isPlaying, isDragging } = this.store.state;
      if (isPlaying || isDragging || !this.isWanted()) return;
      if (this.flight) this.restart();
      else void this.send("full");
    }, REST_MS);
  }

  private async send(quality: Quality): Promise<void> {
    const { state } = this.store;
    const since = this.waitingSince ?? performance.now();
    this.waitingSince = null;
    const flight = { abort: new AbortController(), quality };
    this.flight = flight;
    const latest = Math.max(0, durationOf(state) - FRAME_SEC);
    const timeSec = Math.min(state.timeSec, latest);
    try {
      const body = bodyOf(state.score, state.settings, state.portrait!.id, state.speech?.id ?? null);
      const picture = await preview(body, timeSec, quality, this.stream, flight.abort.signal);
      const now = performance.now();
      performance.measure(`preview-${quality}`, { start: since, end: now });
      if (this.store.state.portrait === state.portrait) this.show({ picture, timeSec, quality, tookMs: now - since });
      this.failed("");
    } catch (error) {
      this.report(error);
    } finally {
      if (this.flight === flight) this.flight = null;
      if (this.waitingSince !== null && this.isWanted()) void this.send("small");
    }
  }

  private report(error: unknown): void {
    if (error instanceof DOMException || (error instanceof ServiceError && error.code === "superseded")) return;
    if (error instanceof ConnectionError) this.store.set({ isConnected: false });
    else this.failed(error instanceof Error ? error.message : String(error));
  }
}
