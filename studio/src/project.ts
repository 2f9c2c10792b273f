/** A project as one JSON file: score, settings, and portrait and speech inside it. */

import { DEFAULTS, type Settings } from "./request";
import { EMOTIONS, type EmotionKey, type LaneId, type Score } from "./score";
import type { Keys } from "./cubic";
import { TEXT } from "./text";

export const FORMAT = "auteur-studio";
export const VERSION = 1;

/** A portrait or a speech: an upload, and where a file holds it, its bytes. */
export interface SavedMedia {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** Base64; missing in the copy that a page keeps for itself. */
  readonly data?: string;
}

export interface Project {
  readonly name: string;
  readonly score: Score;
  readonly settings: Settings;
  readonly portrait: SavedMedia | null;
  readonly speech: SavedMedia | null;
  /** Jobs of the takes, oldest first. */
  readonly takes: readonly { readonly id: string; readonly name: string }[];
}

export function projectText(project: Project): string {
  return JSON.stringify({ format: FORMAT, version: VERSION, ...project }, null, 1);
}

/** Raised with one sentence for the reader. */
export class ProjectError extends Error {}

const problem = (cause: string): never => {
  throw new ProjectError(TEXT.badProject(cause));
};

const isObject = (x: unknown): x is Record<string, unknown> => typeof x === "object" && x !== null && !Array.isArray(x);
const isNumber = (x: unknown): x is number => typeof x === "number" && Number.isFinite(x);
const LANE = /^(unit:AU\d{1,2}[LRTB]?|head:(yaw|pitch|roll)|gaze:[xy])$/;
const ANY_LANE = new RegExp(`^(emotion:(${EMOTIONS.join("|")})|${LANE.source.slice(1, -1)})$`);

/**
 * Returns the project in a text.
 *
 * @throws ProjectError The text is no project, or one of a newer version, or holds values that no lane has.
 */
export function parseProject(text: string): Project {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return problem("it is not JSON");
  }
  if (!isObject(read) || read["format"] !== FORMAT) return problem(`its "format" is not "${FORMAT}"`);
  if (read["version"] !== VERSION) return problem(`its version is ${String(read["version"])}; this page reads ${VERSION}`);
  const takes = Array.isArray(read["takes"]) ? read["takes"] : [];
  return {
    name: typeof read["name"] === "string" ? read["name"].slice(0, 200) : "",
    score: score(read["score"]),
    settings: settings(read["settings"]),
    portrait: media(read["portrait"]),
    speech: media(read["speech"]),
    takes: takes.filter((one) => isObject(one) && typeof one["id"] === "string" && typeof one["name"] === "string"),
  };
}

function score(x: unknown): Score {
  if (!isObject(x) || !Array.isArray(x["emotions"]) || !isObject(x["lanes"])) return problem('it has no "score"');
  const lanes: Record<string, Keys> = {};
  for (const [lane, keys] of Object.entries(x["lanes"])) {
    if (!LANE.test(lane)) return problem(`"${lane.slice(0, 40)}" is no lane`);
    lanes[lane] = rising(keys, lane, (key) => isNumber(key["v"]) && Math.abs(key["v"]) <= 90);
  }
  const emotions: readonly EmotionKey[] = rising(x["emotions"], "emotions", (key) => {
    const s = key["s"];
    return Array.isArray(s) && s.length === EMOTIONS.length && s.every((one) => isNumber(one) && one >= 0 && one <= 1.2);
  });
  return { emotions, lanes, muted: laneList(x["muted"]), solo: laneList(x["solo"]) };
}

function rising<T extends { readonly t: number }>(x: unknown, lane: string, isKey: (key: Record<string, unknown>) => boolean): T[] {
  if (!Array.isArray(x)) return problem(`"${lane}" is no list of keyframes`);
  let before = -Infinity;
  for (const key of x) {
    if (!isObject(key) || !isNumber(key["t"]) || key["t"] < 0 || key["t"] <= before || !isKey(key)) {
      return problem(`a keyframe of "${lane}" is ${JSON.stringify(key).slice(0, 60)}`);
    }
    before = key["t"];
  }
  return x as T[];
}

const laneList = (x: unknown): LaneId[] => (Array.isArray(x) ? x.filter((one): one is LaneId => typeof one === "string" && ANY_LANE.test(one)) : []);

function settings(x: unknown): Settings {
  if (!isObject(x)) return DEFAULTS;
  const known = Object.entries(DEFAULTS).map(([name, value]) => {
    const given = x[name];
    const fits = name === "seed" ? given === null || isNumber(given) : typeof given === typeof value;
    return [name, fits ? given : value];
  });
  return Object.fromEntries(known) as Settings;
}

function media(x: unknown): SavedMedia | null {
  if (!isObject(x) || typeof x["id"] !== "string" || typeof x["name"] !== "string") return null;
  const type = typeof x["type"] === "string" ? x["type"] : "";
  return { id: x["id"], name: x["name"], type, ...(typeof x["data"] === "string" ? { data: x["data"] } : {}) };
}

/** Returns bytes as base64. */
export async function base64Of(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

/** Returns the bytes of a base64 text as a file. */
export function fileOf(saved: SavedMedia): File | null {
  if (saved.data === undefined) return null;
  const text = atob(saved.data);
  return new File([Uint8Array.from(text, (letter) => letter.charCodeAt(0))], saved.name, { type: saved.type });
}
