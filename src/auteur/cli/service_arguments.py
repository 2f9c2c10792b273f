"""Options that `auteur serve` and `auteur studio` share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from auteur.cli.arguments import choice, options
from auteur.cli.generate_arguments import PRESETS

if TYPE_CHECKING:
    from auteur.service.limits import ServiceSettings


@options
class ServiceOptions:
    """How the service is run."""

    port: int = 7860
    """Port; 0 takes a free one."""
    host: str = "127.0.0.1"
    """Address to listen on. Others than the loopback need a token in the variable AUTEUR_TOKEN."""
    name: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Names under which others reach this machine, such as studio.example.org."""
    folder: Path | None = None
    """Where uploads and results lie; unless given, in the user's cache."""
    preset: Annotated[str, choice(*PRESETS, other="FOLDER")] = "compact"
    """Preset of jobs that name none."""
    device: Annotated[str | None, choice("cpu", "cuda")] = None
    """Where the denoiser runs."""
    workers: int = 1
    """Videos that are made at the same time, each in a process of its own."""
    most_upload_mb: int = 200
    """Largest upload."""
    most_queued: int = 100
    """Jobs that may wait."""
    most_seconds: float = 600.0
    """Longest speech."""
    most_disk_gb: float = 20.0
    """Of uploads and results together."""
    keep_hours: float = 24.0
    """How long results and unused uploads are kept."""

    def settings(self) -> "ServiceSettings":
        """Returns the options as one object.

        Raises:
            UsageError: A value is outside its range, a token is needed, or videos cannot be signed.
            InputError: The certificate or the key for signing cannot be used.
        """
        from auteur.provenance import Signing
        from auteur.service.limits import (
            GIGABYTE,
            MEGABYTE,
            Limits,
            ServiceSettings,
            default_folder,
        )

        signing = Signing.from_environment()
        if signing is not None:
            signing.check(Path("video.mp4"))
        return ServiceSettings(
            folder=default_folder() if self.folder is None else self.folder,
            host=self.host,
            port=self.port,
            token=os.environ.get("AUTEUR_TOKEN") or None,
            names=self.name,
            preset=self.preset,
            device=self.device,
            workers=self.workers,
            signing=signing,
            limits=Limits(
                upload_bytes=self.most_upload_mb * MEGABYTE,
                queued_jobs=self.most_queued,
                speech_sec=self.most_seconds,
                disk_bytes=round(self.most_disk_gb * GIGABYTE),
                keep_sec=self.keep_hours * 3600,
            ),
        )
