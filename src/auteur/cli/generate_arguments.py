"""Options of `auteur generate`, in the groups that its help shows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from auteur.cli.arguments import Flag, Rate, choice, options
from auteur.cli.performance_arguments import MotionOptions, PerformanceOptions
from auteur.errors import UsageError

if TYPE_CHECKING:
    from auteur.provenance import Signing

PRESETS = ("compact", "fast", "warp")
"""Presets whose weights ship (`auteur.painting.registry.RENDERERS`)."""
QUALITIES = ("low", "medium", "high", "best")
"""Names of `auteur.media.QUALITIES`, which takes FFmpeg to import."""
ENGINES = ("local", "ray")


@options
class RenderingOptions:
    """How the motion becomes frames."""

    preset: Annotated[str, choice(*PRESETS, other="FILE")] = "compact"
    """compact warps the portrait and paints what shows between the lips; fast paints every second frame; warp
    paints none. Or a denoiser file, or a folder of the papers' size."""
    fps: Rate = "25"
    """Frames per second; 30000/1001 for 29.97."""
    seconds: float | None = None
    """Only the first seconds, to try something; the frames are those of the whole video."""
    crop: str | None = None
    """Shape of the part around the face that is kept, width to height: 9:16, 1:1, 16:9."""
    size: str | None = None
    """Size of the video: its longer side, such as 720, or width and height, such as 720x1280."""
    quality: Annotated[str, choice(*QUALITIES)] = "high"
    """How well the video is encoded; each step about doubles the file."""
    background: str | None = None
    """What is behind the person: a colour such as white or #20c040, a picture file, or none (transparent:
    .webm, .mov or a folder)."""
    watermark: Flag = True
    """Put the imperceptible watermark that names Auteur and the run into every frame. See
    docs/watermark.md."""
    face: int = 0
    """Which face of the portrait: 0 is the largest."""
    steps: int | None = None
    """Denoising steps, 1 to 1000."""
    au_guidance: float | None = None
    """Guidance of Action Units, 0 to 20: 1 as given, 0 switches them off, 3.5 exaggerates."""
    audio_guidance: float | None = None
    """Guidance of the speech in the denoiser, 0 to 20: 1 as trained."""
    reference_guidance: float | None = None
    """Guidance of the portrait in the denoiser, 0 to 20: 1 as trained."""
    expression_guidance: float | None = None
    """Guidance of the expression vectors in the denoiser, 0 to 20: 1 as trained."""
    guidance_form: Annotated[str | None, choice("published", "nested")] = None
    """Guide Action Units in the denoiser alone, as the papers do: published is AUHead's equation 6, nested
    leaves unit scales unguided. The motion is guided as well unless given."""
    window: int | None = None
    """Frames that are denoised together; fewer need less memory."""
    sampler: Annotated[str | None, choice("published", "dpm")] = None
    """Of AniPortrait, Hallo and MEMO: their own, or DPM-Solver++(2M), which needs fewer steps."""
    compile: Flag = False
    """Compile AniPortrait, Hallo and MEMO with torch.compile: minutes at first, faster afterwards."""
    identity: Path | None = None
    """Face embedding for Hallo and MEMO: a .npy, .npz or .safetensors file, or your face network, .onnx."""
    device: Annotated[str | None, choice("cpu", "cuda")] = None
    """Where the denoiser runs; cuda unless given, where there is a GPU."""


@options
class ExtraOptions:
    """Files to write beside the video."""

    plot: Path | None = None
    """Curves of the requested against the rendered performance, as a PNG; needs Matplotlib."""
    sheet: Path | None = None
    """12 frames and their mouths on one picture."""
    save_tracks: Path | None = None
    """Folder for requested_aus.json and rendered_aus.json (both fit --track), rendered_head.json (fits
    --head-track) and the landmarks."""


@options
class VoiceOptions:
    """Text instead of a recording; a voice of this machine speaks it. See docs/service.md."""

    say: str | None = None
    """What to say, in place of SPEECH."""
    voice: str | None = None
    """Name of an installed voice, or a Piper model (FILE.onnx); the best that is installed unless given."""
    srt: Path | None = None
    """Captions of the text with the times of its words: .srt or .vtt."""


@options
class RecordOptions:
    """What the record of the video states, and its signature. See docs/provenance.md."""

    consent: str | None = None
    """Who agreed to be shown, and on what basis, such as "Jane Doe, release of 2 May"; kept in the record,
    which a signed file holds, too."""
    sign: Annotated[Path | None, tyro.conf.arg(metavar="CERT.pem")] = None
    """Sign what is written, under this certificate; needs c2pa."""
    key: Annotated[Path | None, tyro.conf.arg(metavar="KEY.pem")] = None
    """Private key of the certificate."""

    def signing(self) -> "Signing | None":
        """Returns certificate and key; None where nothing is to be signed.

        Raises:
            UsageError: One of the two is missing.
        """
        if (self.sign is None) != (self.key is None):
            raise UsageError("--sign CERT.pem and --key KEY.pem go together: give both, or neither")
        if self.sign is None or self.key is None:
            return None
        from auteur.provenance import Signing

        return Signing(self.sign.absolute(), self.key.absolute())


@options
class BatchOptions:
    """Many videos in one run, instead of PORTRAIT and SPEECH. See docs/scale.md."""

    batch: Path | None = None
    """JSONL with a video per line, such as {"portrait": "me.jpg", "speech": "talk.wav", "seed": 1}, with the
    options above as keys; options given here hold for all lines that do not have them. Run again, it
    continues."""
    engine: Annotated[str, choice(*ENGINES)] = "local"
    """Processes of this machine, or a Ray cluster."""
    workers: int | None = None
    """Videos made at the same time; one per core of this machine unless given."""
    ray_address: str | None = None
    """A running Ray cluster, such as auto or head:6379; else RAY_ADDRESS, else this machine."""


@options
class GenerateArguments:
    """Options of `auteur generate`."""

    portrait: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="PORTRAIT")] = None
    """A picture with a face, or a video: its first frame with one."""
    speech: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="SPEECH")] = None
    """A recording, or a video with sound."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out.mp4")
    """The video to write: .mp4, .mov, .webm or .gif; a name without ending, such as frames/, is a folder of
    PNGs and the sound. With --batch, the folder."""
    overwrite: Flag = False
    """Replace files that exist."""
    json: Flag = False
    """End with one JSON object on standard output."""
    performance: PerformanceOptions = PerformanceOptions()
    motion: MotionOptions = MotionOptions()
    rendering: RenderingOptions = RenderingOptions()
    extras: Annotated[ExtraOptions, tyro.conf.arg(name="extra output")] = ExtraOptions()
    record: RecordOptions = RecordOptions()
    voice: VoiceOptions = VoiceOptions()
    batch: BatchOptions = BatchOptions()
