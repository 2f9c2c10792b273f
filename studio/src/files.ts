/** Projects: saved to a file, opened from one, kept by the page over a reload. */

import { chooseFile, saveFile } from "./dom";
import type { Inputs, Report } from "./inputs";
import { type Project, type SavedMedia, base64Of, fileOf, parseProject, projectText } from "./project";
import type { Renders } from "./renders";
import { headCurves, unitCurves } from "./request";
import { ServiceError, contentUrl, convert, upload, uploaded } from "./service";
import { EMPTY } from "./score";
import { type Media, type Store, durationOf } from "./store";
import { TEXT } from "./text";

/** Portrait and speech are put into project files of up to this size. */
const LARGEST_BYTES = 48_000_000;
const KEPT = "auteur-studio";
const KEEP_AFTER_MS = 400;

export class Files {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly store: Store,
    private readonly inputs: Inputs,
    private readonly renders: Renders,
    private readonly report: Report,
  ) {
    store.on(["name", "score", "settings", "portrait", "speech", "takes"], () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.keep(), KEEP_AFTER_MS);
    });
    window.addEventListener("pagehide", () => this.keep());
  }

  private get project(): Project {
    const { name, score, settings, portrait, speech, takes } = this.store.state;
    const saved = (media: Media | null): SavedMedia | null => media && { id: media.id, name: media.name, type: media.type };
    return { name, score, settings, portrait: saved(portrait), speech: saved(speech), takes: takes.map(({ id, name }) => ({ id, name })) };
  }

  /** This tab finds its project again after a reload; another tab may continue the last one. */
  private keep(): void {
    const { score, portrait, speech, takes } = this.store.state;
    if (score === EMPTY && !portrait && !speech && !takes.length) return;
    const text = projectText(this.project);
    try {
      sessionStorage.setItem(KEPT, text);
      localStorage.setItem(KEPT, text);
    } catch {
      // Storage is full or switched off: the project file remains.
    }
  }

  /** Opens what this tab had before a reload; returns whether there was anything. */
  async reopen(): Promise<boolean> {
    const text = sessionStorage.getItem(KEPT);
    if (text) await this.openText(text);
    return text !== null;
  }

  get hasLast(): boolean {
    return localStorage.getItem(KEPT) !== null;
  }

  async openLast(): Promise<void> {
    await this.openText(localStorage.getItem(KEPT) ?? "");
  }

  startAnew(): void {
    this.store.clear();
    sessionStorage.removeItem(KEPT);
  }

  /** Saves the project with portrait and speech inside. */
  async save(): Promise<void> {
    const { portrait, speech } = this.store.state;
    const project = this.project;
    const name = `${project.name || TEXT.untitled}.auteur.json`;
    const files = await Promise.all([portrait, speech].map((media) => (media ? this.bytesOf(media) : null)));
    const size = files.reduce((sum, file) => sum + (file?.size ?? 0), 0);
    const within = size <= LARGEST_BYTES;
    const filled = async (saved: SavedMedia | null, file: Blob | null | undefined): Promise<SavedMedia | null> =>
      saved && file && within ? { ...saved, data: await base64Of(file) } : saved;
    const whole: Project = { ...project, portrait: await filled(project.portrait, files[0]), speech: await filled(project.speech, files[1]) };
    saveFile(new Blob([projectText(whole)], { type: "application/json" }), name);
    this.report(within ? TEXT.saved(name) : TEXT.savedWithoutMedia(name));
  }

  private async bytesOf(media: Media): Promise<Blob | null> {
    if (media.file) return media.file;
    const response = await fetch(contentUrl(media.id)).catch(() => null);
    return response?.ok ? response.blob() : null;
  }

  choose(): void {
    chooseFile(".json,application/json", (file) => void this.open(file));
  }

  async open(file: File): Promise<void> {
    await this.openText(await file.text());
  }

  async openText(text: string): Promise<void> {
    let project: Project;
    try {
      project = parseProject(text);
    } catch (error) {
      return this.report(error instanceof Error ? error.message : error);
    }
    this.store.clear();
    this.store.set({ name: project.name, score: project.score, settings: project.settings });
    const [portrait, speech] = await Promise.all([this.restored(project.portrait), this.restored(project.speech)]);
    if (portrait) this.store.set({ portrait });
    if (speech) void this.inputs.speak(speech);
    await this.renders.resume(project.takes);
  }

  /** The upload that a project names, or its bytes uploaded again. */
  private async restored(saved: SavedMedia | null): Promise<Media | null> {
    if (!saved) return null;
    const file = fileOf(saved);
    const media = (found: Awaited<ReturnType<typeof uploaded>>): Media => ({ id: found.id, name: saved.name, type: saved.type, kind: found.kind, durationSec: found.duration_sec, file });
    try {
      return media(await uploaded(saved.id));
    } catch (error) {
      if (!(error instanceof ServiceError)) return this.report(error), null;
    }
    if (!file) return this.report(TEXT.expired(saved.name)), null;
    try {
      return media(await upload(file, saved.name));
    } catch (error) {
      return this.report(error), null;
    }
  }

  /** Saves the curves as a table. */
  async export(to: string): Promise<void> {
    const { state } = this.store;
    const [curves, head] = [unitCurves(state.score), headCurves(state.score)];
    if (!Object.keys(curves).length && !Object.keys(head).length) return this.report(TEXT.nothingToExport);
    try {
      const { blob, name, notes } = await convert(curves, head, durationOf(state), to);
      saveFile(blob, name);
      const emotions = state.score.emotions.length ? [TEXT.emotionsStay] : [];
      this.report([TEXT.saved(name), ...emotions, ...notes].join(" "));
    } catch (error) {
      this.report(error);
    }
  }
}
