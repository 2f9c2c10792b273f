/** The state of the page, and its listeners. */

import type { Axis } from "./axis";
import { whole } from "./axis";
import { History } from "./history";
import { DEFAULTS, type Settings } from "./request";
import { EMPTY, type LaneId, type Score, endOf } from "./score";
import type { Track } from "./tracks";

/** A portrait or speech that the service keeps. */
export interface Media {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly kind: string;
  readonly durationSec: number | null;
  /** The bytes, for the project file; null after a reload until they are needed. */
  readonly file: Blob | null;
}

export interface Piece {
  readonly text: string;
  readonly startSec: number;
  readonly endSec: number;
}

/** What the service found in the speech. */
export interface SpeechAnalysis {
  readonly emotion: string;
  readonly probability: number;
  readonly units: Track;
  readonly phones: readonly Piece[];
  readonly words: readonly Piece[];
}

/** Largest sample of each stretch of sound, 0 to 1. */
export interface Envelope {
  readonly rate: number;
  readonly peak: readonly number[];
}

export type JobStatus = "queued" | "running" | "done" | "failed" | "cancelled";

export interface Job {
  readonly id: string;
  readonly status: JobStatus;
  readonly position: number | null;
  readonly done: number;
  readonly total: number | null;
  readonly seconds_left: number | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly notes: readonly string[];
  readonly result: {
    readonly format: string;
    readonly frames: number;
    readonly width: number;
    readonly height: number;
    readonly seconds: number;
    readonly mark: string;
  } | null;
}

/** A rendered video, or one that is to be. */
export interface Take {
  readonly id: string;
  readonly name: string;
  readonly job: Job;
  /** What was requested; null for takes of an opened project. */
  readonly score: Score | null;
  readonly tracks: { readonly rendered: Track; readonly head: Track | null } | null;
}

/** An Action Unit, or one side of it. */
export interface Unit {
  readonly code: string;
  readonly name: string;
  readonly other_names: readonly string[];
  readonly region: string;
  readonly moves: string;
  readonly muscle: string;
}

export interface Selection {
  readonly lane: LaneId | null;
  readonly indices: readonly number[];
}

export interface State {
  readonly name: string;
  readonly score: Score;
  readonly settings: Settings;
  readonly portrait: Media | null;
  readonly speech: Media | null;
  readonly analysis: SpeechAnalysis | null;
  readonly envelope: Envelope | null;
  readonly selection: Selection;
  readonly timeSec: number;
  readonly isPlaying: boolean;
  readonly axis: Axis;
  readonly widthPx: number;
  readonly takes: readonly Take[];
  /** Take on the stage; null: the live preview. */
  readonly shown: string | null;
  /** Take behind the wipe. */
  readonly beside: string | null;
  readonly units: readonly Unit[];
  readonly presets: readonly string[];
  readonly voices: readonly string[];
  readonly isSnapping: boolean;
  readonly isOnlyUsed: boolean;
  readonly search: string;
  readonly openGroups: readonly string[];
  readonly tallLanes: readonly LaneId[];
  readonly splitUnits: readonly string[];
  readonly isConnected: boolean;
  readonly isDragging: boolean;
  /** What takes a while, as text; "" for nothing. */
  readonly busy: string;
}

const FIRST: State = {
  name: "",
  score: EMPTY,
  settings: DEFAULTS,
  portrait: null,
  speech: null,
  analysis: null,
  envelope: null,
  selection: { lane: null, indices: [] },
  timeSec: 0,
  isPlaying: false,
  axis: whole(5, 900),
  widthPx: 900,
  takes: [],
  shown: null,
  beside: null,
  units: [],
  presets: [],
  voices: [],
  isSnapping: true,
  isOnlyUsed: false,
  search: "",
  openGroups: ["emotion"],
  tallLanes: [],
  splitUnits: [],
  isConnected: true,
  isDragging: false,
  busy: "",
};

const EMPTY_SEC = 5;

/** Length of the timeline: the speech's, else room for what is drawn. */
export function durationOf(state: State): number {
  return state.speech?.durationSec ?? Math.max(EMPTY_SEC, Math.ceil(endOf(state.score)));
}

type Listener = (state: State, before: State) => void;

/** The state, with the history of its score. Listeners run once per change, in the order in which they came. */
export class Store {
  private current = FIRST;
  private readonly listeners: { keys: readonly (keyof State)[]; run: Listener }[] = [];
  readonly history = new History<Score>();

  get state(): State {
    return this.current;
  }

  /** Calls `run` whenever one of the values is another. */
  on(keys: readonly (keyof State)[], run: Listener): void {
    this.listeners.push({ keys, run });
  }

  set(patch: Partial<State>): void {
    const before = this.current;
    this.current = { ...before, ...patch };
    const now = this.current;
    for (const { keys, run } of this.listeners) {
      if (keys.some((key) => before[key] !== now[key])) run(now, before);
    }
  }

  /** Replaces the score as one step of the history. */
  edit(score: Score, selection?: Selection): void {
    if (score === this.current.score) return;
    this.history.record(this.current.score);
    this.set({ score, ...(selection ? { selection } : {}), shown: null, beside: null });
  }

  undo(): void {
    this.set({ score: this.history.undo(this.current.score), selection: { lane: this.current.selection.lane, indices: [] } });
  }

  redo(): void {
    this.set({ score: this.history.redo(this.current.score), selection: { lane: this.current.selection.lane, indices: [] } });
  }

  /** Forgets the project, not how the page is set up. */
  clear(): void {
    this.history.clear();
    const { units, presets, voices, widthPx, isSnapping, isConnected } = this.current;
    this.set({ ...FIRST, units, presets, voices, widthPx, isSnapping, isConnected, axis: whole(EMPTY_SEC, widthPx) });
  }
}
