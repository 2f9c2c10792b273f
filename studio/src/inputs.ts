/** What a user hands over: portraits, speech, performances and projects. */

import type { Track } from "./tracks";
import { withGaze, withHead, withUnits } from "./tracks";
import { EMOTIONS, type Score, usedLanes, withKeys } from "./score";
import { type Upload, contentUrl, listen, say, track, upload } from "./service";
import { type SpeechAnalysis, type Media, type Store, durationOf } from "./store";
import { TEXT } from "./text";
import { envelopeOf } from "./wave";

export type Report = (message: unknown) => void;

const mediaOf = (found: Upload, file: Blob | null, type = file?.type ?? ""): Media => ({ id: found.id, name: found.name, type, kind: found.kind, durationSec: found.duration_sec, file });
const hasSound = (found: Upload): boolean => found.kind === "sound" || (found.kind === "video" && found.sample_rate_hz !== null);

export class Inputs {
  constructor(
    private readonly store: Store,
    private readonly report: Report,
  ) {}

  /** Runs something that takes a while under a text that says what it is. */
  private async during<T>(busy: string, work: () => Promise<T>): Promise<T | null> {
    this.store.set({ busy });
    try {
      return await work();
    } catch (error) {
      this.report(error);
      return null;
    } finally {
      if (this.store.state.busy === busy) this.store.set({ busy: "" });
    }
  }

  private upload(file: File): Promise<Upload | null> {
    return this.during(TEXT.uploading(file.name), () => upload(file, file.name));
  }

  async usePortrait(file: File, uploaded?: Upload): Promise<void> {
    const found = uploaded ?? (await this.upload(file));
    if (!found) return;
    if (found.kind !== "image" && found.kind !== "video") return this.report(TEXT.wrongKind(file.name, TEXT.aPicture));
    const settings = { ...this.store.state.settings, consent: "" }; // that of another person
    this.store.set({ portrait: mediaOf(found, file), settings, shown: null, beside: null });
  }

  async useSpeech(file: File, uploaded?: Upload): Promise<void> {
    const found = uploaded ?? (await this.upload(file));
    if (!found) return;
    if (!hasSound(found)) return this.report(TEXT.wrongKind(file.name, TEXT.aSound));
    await this.speak(mediaOf(found, file));
  }

  /** Takes an upload as speech: its waveform at once, its sounds when the service has found them. */
  async speak(speech: Media): Promise<void> {
    this.store.set({ speech, analysis: null, envelope: null, timeSec: 0, shown: null, beside: null });
    const isCurrent = (): boolean => this.store.state.speech?.id === speech.id;
    const drawn = speech.file ? envelopeOf(speech.file) : fetch(contentUrl(speech.id)).then((answer) => answer.blob()).then(envelopeOf).catch(() => null);
    void drawn.then((envelope) => envelope && isCurrent() && this.store.set({ envelope }));
    const found = await this.during(TEXT.listening, () => listen(speech.id));
    if (!found || !isCurrent()) return;
    const analysis: SpeechAnalysis = {
      emotion: found.emotion,
      probability: found.probability,
      units: found.action_units,
      phones: found.phones.map((one) => ({ text: one.phone, startSec: one.start_sec, endSec: one.end_sec })),
      words: (found.words ?? []).map((one) => ({ text: one.word, startSec: one.start_sec, endSec: one.end_sec })),
    };
    this.store.set({ analysis, ...((await drawn) ? {} : { envelope: found.envelope }) });
  }

  async saySpeech(text: string): Promise<void> {
    const found = await this.during(TEXT.listening, () => say(text));
    if (found) await this.speak(mediaOf(found, null, "audio/wav"));
  }

  /** Turns a video of a face, or a table, into lanes; a video's sound becomes the speech where there is none. */
  async usePerformance(file: File, uploaded?: Upload): Promise<void> {
    const found = uploaded ?? (await this.upload(file));
    if (!found) return;
    if (found.kind === "sound") return this.report(TEXT.wrongKind(file.name, TEXT.aPerformance));
    const busy = found.kind === "table" ? TEXT.reading(file.name) : TEXT.tracking(file.name);
    const measured = await this.during(busy, () => track(found.id));
    if (!measured) return;
    if (found.kind === "video" && hasSound(found) && !this.store.state.speech) void this.speak(mediaOf(found, file));
    const before = this.store.state.score;
    let score: Score = measured.action_units ? withUnits(before, measured.action_units, { lips: true }) : before;
    if (measured.head) score = withHead(score, measured.head);
    if (measured.gaze) score = withGaze(score, measured.gaze);
    this.show(score);
    this.report([TEXT.imported(file.name, usedLanes(score).length - usedLanes(before).length), ...measured.notes].join(" "));
  }

  /** Edits the score and opens the groups that hold its lanes. */
  private show(score: Score): void {
    this.store.edit(score, { lane: null, indices: [] });
    this.store.set({ isOnlyUsed: true, openGroups: ["emotion", "brow", "eye", "nose", "cheek", "mouth", "jaw", "gaze", "head"] });
  }

  /** Takes a file for what it is. */
  async take(file: File): Promise<void> {
    const found = await this.upload(file);
    if (!found) return;
    if (found.kind === "image") return this.usePortrait(file, found);
    if (found.kind === "sound") return this.useSpeech(file, found);
    return this.usePerformance(file, found);
  }

  /** First draft: the Action Units that the service predicts from the speech, without those that form sounds. */
  draftUnits(): void {
    const { analysis, score } = this.store.state;
    if (!analysis) return this.report(TEXT.needSpeech);
    const drafted = withUnits(score, analysis.units as Track, { lips: false });
    this.show(drafted);
    this.report(`${this.predictionText(analysis)} ${TEXT.drafted(usedLanes(drafted).length - usedLanes(score).length)}`);
  }

  /** First draft: the predicted emotion, rising at the start and falling at the end. */
  draftEmotion(): void {
    const { state } = this.store;
    const { analysis, score } = state;
    if (!analysis) return this.report(TEXT.needSpeech);
    const name = EMOTIONS.find((one) => one === analysis.emotion);
    if (!name) return this.report(this.predictionText(analysis));
    const [end, strength] = [durationOf(state), Math.min(1, Math.max(0.3, analysis.probability))];
    const ramp = Math.min(0.6, end / 4);
    const keys = [0, ramp, end - ramp, end].map((t, i) => ({ t: Math.round(t * 1000) / 1000, v: i % 3 ? Math.round(strength * 100) / 100 : 0 }));
    this.store.edit(withKeys({ ...score, emotions: [] }, `emotion:${name}`, keys), { lane: `emotion:${name}`, indices: [] });
    this.report(this.predictionText(analysis));
  }

  private predictionText(analysis: SpeechAnalysis): string {
    return TEXT.draftDone(analysis.emotion, Math.round(100 * analysis.probability));
  }
}
