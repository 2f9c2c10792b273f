/** Recording from the microphone. */

export class Microphone {
  private recorder: MediaRecorder | null = null;

  constructor(
    /** Called each second of a recording, with null when it ends. */
    private readonly ticked: (seconds: number | null) => void,
    private readonly recorded: (file: File) => void,
    private readonly refused: () => void,
  ) {}

  toggle(): void {
    if (this.recorder) this.recorder.stop();
    else void this.start();
  }

  private async start(): Promise<void> {
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    } catch {
      return this.refused();
    }
    const recorder = new MediaRecorder(stream);
    this.recorder = recorder;
    const parts: Blob[] = [];
    let seconds = 0;
    this.ticked(0);
    const timer = setInterval(() => this.ticked(++seconds), 1000);
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", () => {
      clearInterval(timer);
      for (const track of stream.getTracks()) track.stop();
      this.recorder = null;
      this.ticked(null);
      const type = recorder.mimeType.split(";")[0] ?? "audio/webm";
      const ending = type.includes("mp4") ? "m4a" : type.includes("ogg") ? "ogg" : "webm";
      this.recorded(new File(parts, `recording.${ending}`, { type }));
    });
    recorder.start();
  }
}
