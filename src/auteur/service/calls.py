"""Calls that answer at once: names, listening, tracking, converting, previews."""

import asyncio
import json
import threading
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from auteur import __version__
from auteur.facs import EMOTIONS
from auteur.provenance.consent import NOTE
from auteur.service.bodies import Body, json_body, nothing_left, number_of, text_of
from auteur.service.problems import CallError
from auteur.service.processes import ProcessAnswer
from auteur.service.service import Message, units
from auteur.service.uploads import service_of
from auteur.signals.topology import CONTOURS

router = APIRouter()

_QUALITIES = ("landmarks", "small", "full")
_TABLES = ("openface", "fex", "livelink", "arkit", "auteur", "auteur.csv")
_OPEN = ("nose",)
"""Contours that are no closed lines."""


class LatestOnly:
    """One call at a time; of those that wait, the newest of each stream."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._newest: dict[str, int] = {}
        self._tickets = 0

    async def run(self, stream: str, work: Any) -> Any:
        """Returns what `work()` returns in a thread.

        Raises:
            CallError: A newer call of the stream came while this one waited.
        """
        self._tickets += 1
        ticket = self._newest[stream] = self._tickets
        try:
            async with self._lock:
                if self._newest.get(stream) != ticket:
                    raise CallError("superseded", "a newer preview of the same stream took its place")
                return await run_in_threadpool(work)
        finally:
            if self._newest.get(stream) == ticket:
                del self._newest[stream]


_previews = LatestOnly()


@router.get("/v1", summary="Version, names and limits")
def about(request: Request) -> Message:
    """Presets, routes, emotions, voices, limits, and how many jobs are in which state."""
    from auteur.voice import voices

    service = service_of(request)
    known = service.about()
    return {
        "version": __version__,
        "presets": known["presets"],
        "preset": service.settings.preset,
        "routes": known["routes"],
        "emotions": list(EMOTIONS),
        "tables": list(_TABLES),
        "qualities": list(_QUALITIES),
        "voices": list(voices()),
        "limits": service.limits.to_json(),
        "consent": NOTE,
        "jobs": service.jobs.counts,
    }


@router.get("/v1/units", summary="Every control and emotion")
def show_units() -> Message:
    """Codes, names, regions, what each moves; emotions with the Action Units that show them."""
    return units()


@router.get("/v1/mesh", summary="Lines between the landmarks")
def mesh(request: Request) -> Message:
    """Named contours of the 478 landmarks, and the triangles of the mesh."""
    return {
        "landmarks": 478,
        "contours": {
            name: {"points": list(points), "closed": name not in _OPEN} for name, points in CONTOURS.items()
        },
        "triangles": service_of(request).about()["triangles"],
    }


@router.post("/v1/listen", summary="Words, phones and emotion of a speech")
async def listen(request: Request) -> Message:
    """{"speech": id}: emotion, Action Units, envelope, phones and, of synthesised speech, words."""
    service, body = service_of(request), await json_body(request)
    emotion = text_of(body, "emotion", most=40)
    path, record = await run_in_threadpool(
        service.file_of, body.pop("speech", None), "speech", ("sound", "video")
    )
    nothing_left(body, "speech", "emotion")
    task = {"task": "listen", "path": str(path), "emotion": emotion, "names": {str(path): record["name"]}}
    answer = await _call(request, "analysis", task)
    return answer.result | {"words": record.get("words")}


@router.post("/v1/track", summary="A face in footage, or a table, as tracks")
async def track(request: Request) -> Message:
    """{"source": id}: Action Units, head pose and gaze."""
    service, body = service_of(request), await json_body(request)
    kinds = ("video", "image", "table")
    path, record = await run_in_threadpool(service.file_of, body.pop("source", None), "source", kinds)
    face = body.pop("face", None)
    if face is not None and (not isinstance(face, int) or isinstance(face, bool) or not 0 <= face < 100):
        raise CallError(
            "bad_value", f"face is {str(face)[:40]}; it must be a whole number from 0", field="face"
        )
    rate = None if body.get("track_rate") is None else str(body["track_rate"])[:40]
    body.pop("track_rate", None)
    nothing_left(body, "source", "face", "track_rate")
    task = {
        "task": "track",
        "path": str(path),
        "type": record["kind"],
        "face": face,
        "track_rate": rate,
        "names": {str(path): record["name"]},
    }
    return (await _call(request, "analysis", task)).result


@router.post("/v1/convert", summary="A track as a table of any program")
async def convert(request: Request) -> Response:
    """{"track": id, track or {"curves": …}, "to": "livelink"}: the file."""
    service, body = service_of(request), await json_body(request)
    to = text_of(body, "to", most=20, required=True)
    if to not in _TABLES:
        raise CallError("bad_value", f"to is {to!r}; choose one of {', '.join(_TABLES)}", field="to")
    task: Message = {"task": "convert", "to": to, "convention": text_of(body, "convention", most=20)}
    task["rate"] = None if body.get("rate") is None else str(body["rate"])[:40]
    body.pop("rate", None)
    given = body.pop("track", None)
    nothing_left(body, "track", "to", "rate", "convention")
    if isinstance(given, dict):
        task["track"] = given
    else:
        path, record = await run_in_threadpool(service.file_of, given, "track", ("table",))
        task |= {"path": str(path), "names": {str(path): record["name"]}}
    identity = await run_in_threadpool(service.begin_upload)
    try:
        task["folder"] = str(service.store.uploads.path(identity))
        answer = await _call(request, "files", task)
    finally:
        await run_in_threadpool(service.store.uploads.remove, identity)
    name = answer.result["name"]
    kind = "application/json" if name.endswith(".json") else "text/csv"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Auteur-Notes": json.dumps(answer.result["notes"]),
    }
    return Response(answer.payload, media_type=f"{kind}; charset=utf-8", headers=headers)


@router.post("/v1/preview", summary="One moment of a performance")
async def preview(request: Request) -> Response:
    """The body of a job with "time_sec", "quality" and "stream"; JSON of landmarks, or a JPEG."""
    service, body = service_of(request), await json_body(request)
    task = await run_in_threadpool(_preview_task, request, body)
    stream = task.pop("stream")
    answer = await _previews.run(stream, lambda: service.call("preview", task))
    if answer.payload is None:
        return JSONResponse(answer.result)
    headers = {
        "Auteur-Frame": str(answer.result["frame"]),
        "Auteur-Draft": "true" if answer.result["draft"] else "false",
        "Auteur-Seconds": f"{answer.result['seconds']:.4f}",
        "Auteur-Notes": json.dumps(answer.result["notes"]),
        "Cache-Control": "no-store",
    }
    return Response(answer.payload, media_type="image/jpeg", headers=headers)


def _preview_task(request: Request, body: Body) -> Message:
    service = service_of(request)
    stream = text_of(body, "stream", most=64) or ""
    quality = text_of(body, "quality", most=20) or "small"
    if quality not in _QUALITIES:
        raise CallError(
            "bad_value", f"quality is {quality!r}; choose one of {', '.join(_QUALITIES)}", field="quality"
        )
    time_sec = number_of(body, "time_sec")
    body.pop("format", None)
    body.pop("consent", None)
    found, _ = service.request_of(body)
    return {**found, "task": "preview", "time_sec": time_sec, "quality": quality, "stream": stream}


async def _call(request: Request, process: str, task: Message) -> ProcessAnswer:
    """Waits for a process in a thread; a client that goes away ends the call."""
    cancel = threading.Event()
    work = asyncio.ensure_future(
        run_in_threadpool(lambda: service_of(request).call(process, task, cancel=cancel))
    )
    try:
        while not work.done():
            await asyncio.wait([work], timeout=0.5)
            if not work.done() and await request.is_disconnected():
                cancel.set()
        return work.result()
    finally:
        cancel.set()
