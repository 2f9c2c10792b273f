"""The service without HTTP: uploads, jobs and calls to processes of models."""

import threading
import time
from pathlib import Path

from auteur.facs import EMOTIONS, listed_controls, prototype
from auteur.service.context import Message
from auteur.service.jobs import Job, JobQueue
from auteur.service.limits import FORMATS, PRESETS, ServiceSettings
from auteur.service.problems import CallError
from auteur.service.processes import ModelProcess, ProcessAnswer
from auteur.service.store import Record, Store, is_id, new_id, shown_name, stamp

FILE_KEYS = ("portrait", "speech", "track", "drive", "head_track", "gaze_track", "background")
"""Keys of a body that name uploads."""
_KINDS: dict[str, tuple[str, ...]] = {
    "portrait": ("image", "video"),
    "speech": ("sound", "video"),
    "track": ("table",),
    "drive": ("video",),
    "head_track": ("table",),
    "gaze_track": ("table",),
    "background": ("image",),
}
_WORDS = {"head_track": ("track", "none"), "gaze_track": ("track", "none")}
_MOST_COLOUR_CHARACTERS = 32
_SWEEP_SEC = 30.0


class Service:
    """The calls of the service, one method each.

    Args:
        settings: How it is run.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings, self.limits = settings, settings.limits
        self.store = Store(settings.folder, settings.limits)
        options: Message = {"device": settings.device, "calm": str(self.store.calm)}
        if settings.signing is not None:
            paths = (str(settings.signing.certificate), str(settings.signing.key))
            options |= {"signing": paths, "names": dict(zip(paths, ("certificate", "key"), strict=True))}
        renders = [ModelProcess(f"render-{number + 1}", options) for number in range(settings.workers)]
        self.processes = {
            "files": ModelProcess("files", options),
            "preview": ModelProcess("preview", options),
            "analysis": ModelProcess("analysis", options),
            **{process.name: process for process in renders},
        }
        """Files are probed, previews made and speech analysed beside the rendering, not after it."""
        self.jobs = JobQueue(self.store, settings.limits, renders)
        self._stop = threading.Event()
        self._about: Message | None = None
        self._sweeper = threading.Thread(target=self._sweep, daemon=True)

    def start(self) -> None:
        """Takes up the jobs of an earlier run."""
        self.store.remove_expired(set())
        self.jobs.start()
        self._sweeper.start()

    def stop(self) -> None:
        """Ends all processes."""
        self._stop.set()
        self.jobs.stop()
        for process in self.processes.values():
            process.kill()

    def call(self, process: str, request: Message, *, cancel: threading.Event | None = None) -> ProcessAnswer:
        """Returns what a process makes of a request.

        Raises:
            CallError: It failed.
        """
        return self.processes[process].call(request, cancel=cancel, most_sec=self.limits.call_sec)

    def about(self) -> Message:
        """Returns names that clients may use, and the schema of a body."""
        if self._about is None:
            self._about = self.call("files", {"task": "about"}).result
        return self._about

    def begin_upload(self) -> str:
        """Returns the id of an upload whose file is still to be written, as "file" in its folder.

        Raises:
            CallError: There is no room.
        """
        self.store.check_room()
        identity = new_id()
        self.store.uploads.make(identity)
        return identity

    def finish_upload(
        self, identity: str, name: str | None, *, words: list[Message] | None = None
    ) -> Message:
        """Returns what is known of an upload whose file is there.

        Raises:
            CallError: It is of no kind that can be used.
        """
        path = self.store.uploads.path(identity) / "file"
        self.store.check_room()
        size = path.stat().st_size
        shown = shown_name(name, "file")
        found = self.call("files", {"task": "probe", "path": str(path), "names": {str(path): shown}}).result
        record: Record = {
            "id": identity,
            "kind": found.pop("type"),
            "name": shown,
            "bytes": size,
            "file": f"file{found.pop('suffix')}",
            "used_sec": time.time(),
            "words": words,
            **found,
        }
        self.store.uploads.write(identity, record)
        return self.seen_upload(record)

    def seen_upload(self, record: Record) -> Message:
        """Returns what a client sees of an upload."""
        hidden = ("file", "used_sec")
        seen = {key: value for key, value in record.items() if key not in hidden}
        return seen | {"expires": stamp(float(record["used_sec"]) + self.limits.keep_sec)}

    def remove_upload(self, identity: str) -> None:
        """Removes an upload.

        Raises:
            CallError: There is none, or a job still needs it.
        """
        self.store.uploads.read(identity)
        if identity in self.jobs.inputs_in_use():
            raise CallError("in_use", "a job still needs this upload; cancel the job first")
        self.store.uploads.remove(identity)

    def file_of(self, identity: object, key: str, kinds: tuple[str, ...]) -> tuple[Path, Record]:
        """Returns the file of an upload and its record.

        Args:
            identity: What a client sent.
            key: Under which key.
            kinds: Kinds that it may be of.

        Raises:
            CallError: It is no id, there is none, or of another kind.
        """
        if not isinstance(identity, str) or not is_id(identity):
            raise CallError(
                "bad_value", f"{key} is {str(identity)[:60]!r}; it must be the id of an upload", field=key
            )
        try:
            record = self.store.touch_upload(identity)
        except CallError as error:
            raise CallError(
                "not_found", f"there is no upload with the id of {key}, or it has expired", field=key
            ) from error
        if record["kind"] not in kinds:
            raise CallError(
                "bad_type",
                f"{key} is a {record['kind']} ({record['name']}); it must be a {' or a '.join(kinds)}",
                field=key,
            )
        return self.store.upload_path(identity, record), record

    def request_of(self, body: Message) -> tuple[Message, list[str]]:
        """Returns the parts of a body that a process needs, and the ids of its uploads.

        Raises:
            CallError: A file is missing or of the wrong kind, or a name is unknown.
        """
        body = dict(body)
        body.pop("output", None)
        files: dict[str, str] = {}
        names: dict[str, str] = {}
        uploads: list[str] = []
        for key in FILE_KEYS:
            value = body.get(key)
            if value is None or (key == "track" and isinstance(value, dict)) or value in _WORDS.get(key, ()):
                continue
            if key == "background" and not is_id(value):
                self._check_colour(value)
                continue
            path, record = self.file_of(body.pop(key), key, _KINDS[key])
            if key in ("speech", "drive"):
                self._check_length(record, key)
            files[key], names[str(path)] = str(path), record["name"]
            uploads.append(record["id"])
        if body.get("watermark") is False:
            raise CallError(
                "bad_value", "watermark is false; videos of a service carry it", field="watermark"
            )
        if "portrait" not in files:
            raise CallError("bad_value", "the key 'portrait' is missing; name an upload", field="portrait")
        preset = body.pop("preset", None) or self.settings.preset
        if preset not in (*PRESETS, self.settings.preset):
            shown = ", ".join(PRESETS)
            raise CallError(
                "bad_value", f"preset is {str(preset)[:40]!r}; choose one of {shown}", field="preset"
            )
        return {"body": body, "files": files, "names": names, "preset": preset}, uploads

    def format_of(self, body: Message) -> str:
        """Takes the format of the video out of a body.

        Raises:
            CallError: There is no such format.
        """
        chosen = body.pop("format", None) or "mp4"
        if chosen not in FORMATS:
            raise CallError(
                "bad_value",
                f"format is {str(chosen)[:40]!r}; choose one of {', '.join(FORMATS)}",
                field="format",
            )
        return chosen

    def submit(self, body: Message, consent: str | None, key: str | None) -> Job:
        """Returns the job of a body, after all of it was checked.

        Raises:
            CallError: Something is wrong with it, or there is no room.
        """
        known = self.jobs.with_key(key)
        if known is not None:
            return known
        self.jobs.check_room()
        self.store.check_room()
        body = {**body, **({} if consent is None else {"consent": consent})}
        shown = dict(body)
        chosen = self.format_of(body)
        request, uploads = self.request_of(body)
        request["format"] = chosen
        self.call("files", {**request, "task": "check"})
        return self.jobs.submit(shown, request, uploads, key)

    def _check_length(self, record: Record, key: str) -> None:
        length = record.get("duration_sec")
        if length is not None and length > self.limits.speech_sec:
            raise CallError(
                "bad_value",
                f"{key} lasts {length:.0f} s; at most {self.limits.speech_sec:g} s are taken here",
                field=key,
            )

    def _check_colour(self, value: object) -> None:
        is_word = isinstance(value, str) and value.removeprefix("#").isalnum() and value.isascii()
        if not is_word or len(str(value)) > _MOST_COLOUR_CHARACTERS:
            raise CallError(
                "bad_value",
                f"background is {str(value)[:40]!r}; give none, a colour such as white or #20c040, or the id "
                "of a picture",
                field="background",
            )

    def _sweep(self) -> None:
        """Removes what has expired and ends idle processes, periodically."""
        while not self._stop.wait(_SWEEP_SEC):
            self.jobs.remove_expired()
            self.store.remove_expired(self.jobs.inputs_in_use())
            for process in self.processes.values():
                process.end_if_idle(self.limits.idle_sec)


def units() -> Message:
    """Returns every control with its names, and the emotions with their Action Units."""
    return {
        "controls": [one.to_json() for one in listed_controls()],
        "emotions": [
            {"name": name, "prototype": {} if name == "neutral" else _prototype(name)} for name in EMOTIONS
        ],
    }


def _prototype(emotion: str) -> dict[str, float]:
    return {
        name: round(float(value), 4) for name, value in prototype(emotion, convention="facs").items() if value
    }
