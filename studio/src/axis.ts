/** The time axis that waveform and lanes share: seconds to pixels and back. */

export interface Axis {
  /** Time at the left edge. */
  readonly startSec: number;
  readonly pxPerSec: number;
}

export const toPx = (axis: Axis, t: number): number => (t - axis.startSec) * axis.pxPerSec;
export const toSec = (axis: Axis, px: number): number => px / axis.pxPerSec + axis.startSec;

const LARGEST_PX_PER_SEC = 1200;

/** Room before 0 and behind the end, so that keys there can be taken hold of. */
export const MARGIN_PX = 10;

/** The axis on which everything from 0 to the end just fits. */
export function whole(durationSec: number, widthPx: number): Axis {
  const pxPerSec = Math.max(widthPx - 2 * MARGIN_PX, 1) / Math.max(durationSec, 0.1);
  return { startSec: -MARGIN_PX / pxPerSec, pxPerSec };
}

/** Keeps an axis within 0 and the end. */
export function bounded(axis: Axis, durationSec: number, widthPx: number): Axis {
  const least = whole(durationSec, widthPx).pxPerSec;
  const pxPerSec = Math.min(Math.max(axis.pxPerSec, least), Math.max(LARGEST_PX_PER_SEC, least));
  const margin = MARGIN_PX / pxPerSec;
  const latest = Math.max(-margin, durationSec + margin - widthPx / pxPerSec);
  return { pxPerSec, startSec: Math.min(Math.max(axis.startSec, -margin), latest) };
}

/** Zooms so that the time at `atPx` stays where it is. */
export function zoomed(axis: Axis, factor: number, atPx: number, durationSec: number, widthPx: number): Axis {
  const t = toSec(axis, atPx);
  const pxPerSec = bounded({ ...axis, pxPerSec: axis.pxPerSec * factor }, durationSec, widthPx).pxPerSec;
  return bounded({ pxPerSec, startSec: t - atPx / pxPerSec }, durationSec, widthPx);
}

export interface Tick {
  readonly t: number;
  /** Text of a large tick; "" for a small one. */
  readonly label: string;
}

const STEPS = [0.04, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300];

/** Ticks of the visible part, labels at least 72 px apart. */
export function ticks(axis: Axis, widthPx: number): Tick[] {
  const large = STEPS.find((step) => step * axis.pxPerSec >= 72) ?? 600;
  const parts = large * axis.pxPerSec >= 140 ? 10 : 5;
  const small = large / parts;
  const [first, last] = [Math.max(0, Math.ceil(axis.startSec / small)), Math.floor(toSec(axis, widthPx) / small)];
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
    const n = first + i;
    return { t: n * small, label: n % parts === 0 ? short(n * small, large < 1 ? (large < 0.2 ? 2 : 1) : 0) : "" };
  });
}

/** Returns a time as "4.5 s", from a minute on as "1:05.5". */
function short(t: number, digits: number): string {
  return t < 59.995 ? `${t.toFixed(digits)} s` : clock(t, digits);
}

/** Returns a time as "1:05" or "1:05.20". */
export function clock(t: number, digits = 2): string {
  const minutes = Math.floor((t + 1e-9) / 60);
  const seconds = Math.max(0, t - 60 * minutes).toFixed(digits);
  return `${minutes}:${seconds.padStart(digits ? 3 + digits : 2, "0")}`;
}
