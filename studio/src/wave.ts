/** The speech under the ruler: its waveform by wavesurfer.js, its words or sounds below. */

import WaveSurfer from "wavesurfer.js";
import { toPx, toSec } from "./axis";
import { el } from "./dom";
import { palette, prepared } from "./palette";
import { type Envelope, type Piece, type Store, durationOf } from "./store";
import { TEXT } from "./text";

const WAVE_PX = 46;
const STRIP_PX = 16;
const PEAKS_PER_SEC = 100;

/** Returns the waveform of a sound that the browser can decode, or null. */
export async function envelopeOf(sound: Blob): Promise<Envelope | null> {
  const context = new OfflineAudioContext(1, 1, 8000);
  try {
    const decoded = await context.decodeAudioData(await sound.arrayBuffer());
    const channel = decoded.getChannelData(0);
    const step = decoded.sampleRate / PEAKS_PER_SEC;
    const peak = Array.from({ length: Math.ceil(channel.length / step) }, (_, i) => {
      let most = 0;
      for (let n = Math.floor(i * step); n < Math.min((i + 1) * step, channel.length); n++) most = Math.max(most, Math.abs(channel[n]!));
      return most;
    });
    return { rate: PEAKS_PER_SEC, peak };
  } catch {
    return null;
  }
}

export class Wave {
  readonly element: HTMLElement;
  private readonly holder = el("div", { class: "wave" });
  private readonly strip = el("canvas");
  private surfer: WaveSurfer | null = null;
  private isReady = false;

  constructor(
    private readonly store: Store,
    seek: (t: number) => void,
  ) {
    const surface = el("div", { class: "surface waves", "data-wave": "" }, this.holder, this.strip);
    surface.addEventListener("pointerdown", (event) => {
      surface.setPointerCapture(event.pointerId);
      seek(toSec(store.state.axis, event.clientX - surface.getBoundingClientRect().left));
    });
    surface.addEventListener("pointermove", (event) => {
      if (event.buttons) seek(toSec(store.state.axis, event.clientX - surface.getBoundingClientRect().left));
    });
    this.element = el("div", { class: "row speech-row" }, el("div", { class: "head" }, el("span", { class: "name" }, TEXT.waveform)), surface);
    store.on(["envelope"], () => this.load());
  }

  /** Draws the waveform again in the colours of the theme. */
  load(): void {
    this.surfer?.destroy();
    this.surfer = null;
    this.isReady = false;
    const { envelope } = this.store.state;
    if (!envelope) return;
    const colours = palette();
    this.place();
    this.surfer = WaveSurfer.create({
      container: this.holder,
      height: WAVE_PX,
      peaks: [Float32Array.from(envelope.peak)],
      duration: durationOf(this.store.state),
      waveColor: colours.wave,
      progressColor: colours.wave,
      cursorWidth: 0,
      interact: false,
      normalize: true,
      hideScrollbar: true,
      autoScroll: false,
      autoCenter: false,
    });
    adoptStyle(this.holder);
    this.surfer.on("ready", () => {
      this.isReady = true;
      this.draw();
    });
  }

  draw(): void {
    const { axis, widthPx, analysis } = this.store.state;
    this.place();
    if (this.surfer && this.isReady) {
      this.surfer.zoom(axis.pxPerSec);
      this.surfer.setScroll(Math.max(0, axis.startSec) * axis.pxPerSec);
    }
    const context = prepared(this.strip, widthPx, STRIP_PX);
    this.pieces(context, analysis?.words.length ? analysis.words : (analysis?.phones ?? []));
  }

  /** The waveform lies where the axis has the sound, within what is visible. */
  private place(): void {
    const { state } = this.store;
    const left = Math.max(0, toPx(state.axis, 0));
    const right = Math.min(state.widthPx, toPx(state.axis, durationOf(state)));
    this.holder.style.marginLeft = `${left}px`;
    this.holder.style.width = `${Math.max(1, right - left)}px`;
  }

  private pieces(context: CanvasRenderingContext2D, pieces: readonly Piece[]): void {
    const { axis, widthPx } = this.store.state;
    const colours = palette();
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (const piece of pieces) {
      const [left, right] = [toPx(axis, piece.startSec), toPx(axis, piece.endSec)];
      if (right < 0 || left > widthPx) continue;
      context.fillStyle = colours.line;
      context.fillRect(left, 0, 1, STRIP_PX);
      if (context.measureText(piece.text).width > right - left + 2) continue;
      context.fillStyle = colours.dim;
      context.fillText(piece.text, (left + right) / 2, STRIP_PX - 4);
    }
  }
}

/** Puts wavesurfer's own style into its shadow tree as a sheet: a page without inline styles blocks the element. */
function adoptStyle(holder: HTMLElement): void {
  for (const host of holder.children) {
    const style = host.shadowRoot?.querySelector("style");
    if (!host.shadowRoot || !style || style.sheet) continue;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style.textContent ?? "");
    host.shadowRoot.adoptedStyleSheets = [sheet];
  }
}
