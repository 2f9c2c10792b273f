/** Rendering: jobs of the service as takes. */

import { type Body, bodyOf } from "./request";
import { canPreview } from "./preview";
import { ConnectionError, ServiceError, endJob, follow, job as jobOf, render, tracks } from "./service";
import type { Score } from "./score";
import type { Job, Store, Take } from "./store";
import { TEXT } from "./text";

export class Renders {
  private readonly followed = new Map<string, () => void>();

  constructor(
    private readonly store: Store,
    private readonly report: (error: unknown) => void,
  ) {
    store.on(["isConnected"], ({ isConnected }) => isConnected && this.again());
  }

  /** Starts a job of what is drawn. */
  async start(): Promise<void> {
    const { state } = this.store;
    if (!state.portrait) return this.report(TEXT.needPortrait);
    if (!canPreview(state)) return this.report(TEXT.needSpeech);
    const body: Body = bodyOf(state.score, state.settings, state.portrait.id, state.speech?.id ?? null);
    try {
      const job = await render(body, crypto.randomUUID());
      const names = this.store.state.takes.map((take) => take.name);
      let n = names.length + 1;
      while (names.includes(TEXT.take(n))) n++;
      this.add({ id: job.id, name: TEXT.take(n), job, score: state.score, tracks: null });
    } catch (error) {
      this.report(error);
    }
  }

  /** Takes up jobs again, after a reload or from a project. */
  async resume(saved: readonly { id: string; name: string; score?: Score | null }[]): Promise<void> {
    for (const { id, name, score } of saved) {
      try {
        this.add({ id, name, job: await jobOf(id), score: score ?? null, tracks: null });
      } catch (error) {
        if (!(error instanceof ServiceError)) return this.report(error);
      }
    }
  }

  private add(take: Take): void {
    const others = this.store.state.takes.filter((one) => one.id !== take.id);
    this.store.set({ takes: [...others, take] });
    this.follow(take);
  }

  private follow({ id, job }: Take): void {
    if (job.status !== "queued" && job.status !== "running") return;
    this.followed.get(id)?.();
    const stop = follow(id, {
      changed: (now) => this.changed(id, now),
      lost: () => this.store.set({ isConnected: false }),
      found: () => this.store.set({ isConnected: true }),
      gone: () => this.changed(id, { ...job, status: "failed", error: { code: "not_found", message: TEXT.takeExpired } }),
    });
    this.followed.set(id, stop);
  }

  private again(): void {
    for (const take of this.store.state.takes) if (!this.followed.has(take.id)) this.follow(take);
  }

  private changed(id: string, job: Job): void {
    const { takes, shown } = this.store.state;
    this.store.set({ takes: takes.map((take) => (take.id === id ? { ...take, job: { ...take.job, ...job } } : take)) });
    if (job.status === "queued" || job.status === "running") return;
    this.followed.get(id)?.();
    this.followed.delete(id);
    const take = this.store.state.takes.find((one) => one.id === id);
    if (job.status === "done" && take && shown === null && !this.store.state.isDragging) void this.show(take, null);
  }

  /** Puts a take on the stage, its rendered curves under the requested ones. */
  async show(take: Take, beside: string | null): Promise<void> {
    const { shown } = this.store.state;
    if (shown === take.id) return this.store.set({ shown: null, beside: null });
    this.store.set({ shown: take.id, beside });
    if (take.tracks) return;
    try {
      const { rendered, head } = await tracks(take.id);
      this.store.set({ takes: this.store.state.takes.map((one) => (one.id === take.id ? { ...one, tracks: { rendered, head } } : one)) });
    } catch (error) {
      this.report(error);
    }
  }

  async cancel(take: Take): Promise<void> {
    try {
      await endJob(take.id);
    } catch (error) {
      this.report(error);
    }
  }

  async remove(take: Take): Promise<void> {
    const { shown, beside, takes } = this.store.state;
    this.store.set({
      takes: takes.filter((one) => one.id !== take.id),
      shown: shown === take.id ? null : shown,
      beside: beside === take.id || shown === take.id ? null : beside,
    });
    try {
      await endJob(take.id);
    } catch (error) {
      if (error instanceof ConnectionError) this.report(error);
    }
  }
}
