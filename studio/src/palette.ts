/** Colours of the canvases, from the style sheet, so that themes are in one place. */

const NAMES = ["text", "dim", "line", "baseline", "accent", "selected", "rendered", "playhead", "surface", "wave"] as const;
const HUES = ["emotion", "brow", "eye", "nose", "cheek", "mouth", "jaw", "gaze", "head"] as const;

export type Palette = Record<(typeof NAMES)[number], string> & { readonly group: Readonly<Record<string, string>> };

let known: Palette | null = null;

export function palette(): Palette {
  if (known) return known;
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const named = Object.fromEntries(NAMES.map((name) => [name, colour(name)])) as Record<(typeof NAMES)[number], string>;
  known = { ...named, group: Object.fromEntries(HUES.map((name) => [name, colour(`group-${name}`)])) };
  return known;
}

/** Colours are read again after the theme has changed. */
export function forgetPalette(): void {
  known = null;
}

/** Makes a canvas as large as it is shown and returns its context in CSS pixels, cleared. */
export function prepared(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
