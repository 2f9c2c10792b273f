/** Drawing of lanes: grid, curve, keys, what was rendered. */

import { type Axis, ticks, toPx, toSec } from "./axis";
import type { Keys } from "./cubic";
import type { Bounds } from "./keys";
import { palette } from "./palette";
import type { Samples } from "./tracks";

const PADDING_PX = 6;

/** Values to pixels of a lane and back. */
export class Scale {
  constructor(
    readonly bounds: Bounds,
    readonly heightPx: number,
  ) {}

  y(value: number): number {
    const { low, high } = this.bounds;
    return this.heightPx - PADDING_PX - ((value - low) / (high - low)) * (this.heightPx - 2 * PADDING_PX);
  }

  value(y: number): number {
    const { low, high } = this.bounds;
    return low + ((this.heightPx - PADDING_PX - y) / (this.heightPx - 2 * PADDING_PX)) * (high - low);
  }
}

export function drawGrid(context: CanvasRenderingContext2D, axis: Axis, widthPx: number, scale: Scale): void {
  const colours = palette();
  context.lineWidth = 1;
  context.strokeStyle = colours.line;
  context.beginPath();
  for (const tick of ticks(axis, widthPx)) {
    if (!tick.label) continue;
    const x = Math.round(toPx(axis, tick.t)) + 0.5;
    context.moveTo(x, 0);
    context.lineTo(x, scale.heightPx);
  }
  context.stroke();
  context.strokeStyle = colours.baseline;
  context.beginPath();
  const zero = Math.round(scale.y(0)) + 0.5;
  context.moveTo(0, zero);
  context.lineTo(widthPx, zero);
  context.stroke();
}

/** Draws a curve from 0 to the end, filled down to 0. */
export function drawCurve(context: CanvasRenderingContext2D, value: (t: number) => number, axis: Axis, widthPx: number, scale: Scale, colour: string): void {
  const path = new Path2D();
  const [left, right] = [Math.max(0, toPx(axis, 0)), Math.min(widthPx, toPx(axis, scale.bounds.endSec))];
  for (let x = left; ; x = Math.min(x + 1, right)) {
    const y = scale.y(value(toSec(axis, x)));
    if (x === left) path.moveTo(x, y);
    else path.lineTo(x, y);
    if (x >= right) break;
  }
  context.strokeStyle = colour;
  context.lineWidth = 1.75;
  context.lineJoin = "round";
  context.stroke(path);
  path.lineTo(right, scale.y(0));
  path.lineTo(left, scale.y(0));
  path.closePath();
  const alpha = context.globalAlpha;
  context.globalAlpha = alpha * 0.2;
  context.fillStyle = colour;
  context.fill(path);
  context.globalAlpha = alpha;
}

/** Draws what was rendered as a thin dashed line. */
export function drawSamples(context: CanvasRenderingContext2D, samples: Samples, axis: Axis, widthPx: number, scale: Scale): void {
  const { low, high } = scale.bounds;
  context.strokeStyle = palette().rendered;
  context.lineWidth = 1.25;
  context.setLineDash([3, 2]);
  context.beginPath();
  let isDown = false;
  samples.values.forEach((value, i) => {
    const x = toPx(axis, samples.startSec + i / samples.rate);
    if (value === null || x < -20 || x > widthPx + 20) {
      isDown = false;
      return;
    }
    const y = scale.y(Math.min(Math.max(value, low), high));
    if (isDown) context.lineTo(x, y);
    else context.moveTo(x, y);
    isDown = true;
  });
  context.stroke();
  context.setLineDash([]);
}

export function drawKeys(context: CanvasRenderingContext2D, keys: Keys, selected: readonly number[], axis: Axis, widthPx: number, scale: Scale, colour: string): void {
  const colours = palette();
  // Of an emotion without strength, the keys are those of the others.
  const isIdle = keys.length > 1 && keys.every((key) => key.v === 0);
  keys.forEach((key, i) => {
    const [x, y] = [toPx(axis, key.t), scale.y(key.v)];
    if (x < -8 || x > widthPx + 8) return;
    const isSelected = selected.includes(i);
    context.beginPath();
    context.arc(x, y, isSelected ? 5 : isIdle ? 2 : 3.5, 0, 2 * Math.PI);
    context.fillStyle = isSelected ? colours.selected : isIdle ? colours.baseline : colour;
    context.fill();
    if (isIdle && !isSelected) return;
    context.lineWidth = 1.5;
    context.strokeStyle = isSelected ? colours.text : colours.surface;
    context.stroke();
  });
}
