/** Calls of the service (`docs/service.md`). */

import type { Body, Pairs } from "./request";
import type { Envelope, Job, Unit } from "./store";
import type { Track } from "./tracks";

/** The service refused a call, with one sentence for the reader. */
export class ServiceError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The service did not answer. */
export class ConnectionError extends Error {}

export interface Upload {
  readonly id: string;
  readonly kind: "image" | "sound" | "video" | "table";
  readonly name: string;
  readonly duration_sec: number | null;
  readonly sample_rate_hz: number | null;
}

export interface About {
  readonly presets?: readonly string[];
  readonly voices?: readonly string[];
}

export interface TimedText {
  readonly start_sec: number;
  readonly end_sec: number;
}

export interface Listening {
  readonly duration_sec: number;
  readonly emotion: string;
  readonly probability: number;
  readonly action_units: Track;
  readonly envelope: Envelope;
  readonly phones: readonly (TimedText & { readonly phone: string })[];
  readonly words: readonly (TimedText & { readonly word: string })[] | null;
  readonly notes: readonly string[];
}

export interface Measured {
  readonly action_units: Track | null;
  readonly head: Track | null;
  readonly gaze: Track | null;
  readonly notes: readonly string[];
}

export type Quality = "small" | "full";

async function call(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ConnectionError(path);
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => null)) as { error?: { code?: string; message?: string } } | null;
  throw new ServiceError(response.status, body?.error?.code ?? "internal", body?.error?.message ?? `${response.status} ${response.statusText}`);
}

const json = (body: unknown, signal?: AbortSignal): RequestInit => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
  ...(signal ? { signal } : {}),
});

const read = async <T>(response: Promise<Response>): Promise<T> => (await (await response).json()) as T;

export const about = (): Promise<About> => read(call("/v1"));

export const units = async (): Promise<readonly Unit[]> => {
  const found = await read<{ units?: readonly Unit[]; controls?: readonly Unit[] }>(call("/v1/units"));
  return found.units ?? found.controls ?? [];
};

export function upload(file: Blob, name: string): Promise<Upload> {
  const form = new FormData();
  form.append("file", file, name);
  return read(call("/v1/uploads", { method: "POST", body: form }));
}

export const uploaded = (id: string): Promise<Upload> => read(call(`/v1/uploads/${encodeURIComponent(id)}`));
export const contentUrl = (id: string): string => `/v1/uploads/${encodeURIComponent(id)}/content`;
export const say = (text: string): Promise<Upload> => read(call("/v1/say", json({ text })));
export const listen = (speech: string): Promise<Listening> => read(call("/v1/listen", json({ speech })));
export const track = (source: string): Promise<Measured> => read(call("/v1/track", json({ source })));

/** Returns a table of the curves, its name and what it cannot hold. */
export async function convert(curves: Record<string, Pairs>, head: Record<string, Pairs>, durationSec: number, to: string): Promise<{ blob: Blob; name: string; notes: string[] }> {
  const heads = Object.keys(head).length ? { head_curves: head } : {};
  const response = await call("/v1/convert", json({ track: { curves, ...heads, duration_sec: durationSec }, to }));
  const name = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? `performance.${to}`;
  const notes = JSON.parse(response.headers.get("Auteur-Notes") ?? "[]") as string[];
  return { blob: await response.blob(), name, notes };
}

/** Returns one moment as a picture. `stream` is this page's: a newer preview takes the place of one that waits. */
export async function preview(body: Body, timeSec: number, quality: Quality, stream: string, signal: AbortSignal): Promise<Blob> {
  const request = { ...body, time_sec: timeSec, quality, stream };
  return (await call("/v1/preview", json(request, signal))).blob();
}

/** Where the face lies in a portrait, in fractions of its width and height. */
export interface FaceBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Returns the box around the landmarks of a portrait at rest. */
export async function faceBox(portrait: string): Promise<FaceBox> {
  const body = { portrait, curves: { AU12: [[0, 0], [1, 0]] }, time_sec: 0, quality: "landmarks" };
  const { landmarks, image_size_px } = await read<{ landmarks: [number, number][]; image_size_px: [number, number] }>(call("/v1/preview", json(body)));
  const [xs, ys] = [landmarks.map((point) => point[0] / image_size_px[0]), landmarks.map((point) => point[1] / image_size_px[1])];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return { x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y };
}

export const render = (body: Body, key: string): Promise<Job> => {
  const options = json(body);
  return read(call("/v1/videos", { ...options, headers: { ...(options.headers as Record<string, string>), "Idempotency-Key": key } }));
};
export const job = (id: string): Promise<Job> => read(call(`/v1/videos/${encodeURIComponent(id)}`));
export const endJob = async (id: string): Promise<void> => void (await call(`/v1/videos/${encodeURIComponent(id)}`, { method: "DELETE" }));
export const tracks = (id: string): Promise<{ requested: Track | null; rendered: Track; head: Track | null }> =>
  read(call(`/v1/videos/${encodeURIComponent(id)}/tracks`));
export const videoUrl = (id: string, isDownload = false): string => `/v1/videos/${encodeURIComponent(id)}/content${isDownload ? "?download=1" : ""}`;

const RETRY_MS = 2000;
const STATES = ["queued", "running", "done", "failed", "cancelled"] as const;

/** What happens to a job that is followed. */
export interface Follower {
  readonly changed: (job: Job) => void;
  /** The connection ended; the browser connects again by itself. */
  readonly lost: () => void;
  readonly found: () => void;
  /** The service no longer has the job. */
  readonly gone: () => void;
}

/** Calls `follower.changed` with every state of a job until it has ended; returns what ends the following. */
export function follow(id: string, follower: Follower): () => void {
  let source: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** The browser gives up where the answer is an error: of the job itself, or of a service that is starting. */
  const refused = (): void =>
    void job(id).then(
      () => (timer = setTimeout(start, RETRY_MS)),
      (error) => (error instanceof ServiceError ? follower.gone() : (timer = setTimeout(refused, RETRY_MS))),
    );
  const start = (): void => {
    source = new EventSource(`/v1/videos/${encodeURIComponent(id)}/events`);
    for (const state of STATES) {
      source.addEventListener(state, (event) => {
        const now = JSON.parse((event as MessageEvent<string>).data) as Job;
        follower.changed(now);
        if (now.status !== "queued" && now.status !== "running") source.close();
      });
    }
    source.onopen = follower.found;
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) refused();
      else follower.lost();
    };
  };
  start();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
