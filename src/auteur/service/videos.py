"""Calls about jobs."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from auteur.service.bodies import Body, json_body, parse_json, text_of
from auteur.service.jobs import ENDED, Job
from auteur.service.problems import CallError
from auteur.service.service import FILE_KEYS, Message, Service
from auteur.service.uploads import form_of, is_multipart, receive, service_of

router = APIRouter()

_LOOK_SEC = 0.1
_BETWEEN_SEC = 0.25
_PING_SEC = 15
_MOST_KEY_CHARACTERS = 64
_TYPES = {"mp4": "video/mp4", "webm": "video/webm", "mov": "video/quicktime", "gif": "image/gif"}
_TRACKS = ("requested", "rendered", "head")


@router.post("/v1/videos", status_code=202, summary="Make a video")
async def submit(request: Request) -> JSONResponse:
    """A job: portrait, speech and performance. Answers at once; follow it by its events."""
    service = service_of(request)
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= _MOST_KEY_CHARACTERS:
        raise CallError("bad_value", f"the Idempotency-Key must have 1 to {_MOST_KEY_CHARACTERS} characters")
    known = service.jobs.with_key(key)
    if known is not None:
        return JSONResponse(service.jobs.seen(known), status_code=202)
    made: list[str] = []
    try:
        if is_multipart(request):
            body = await _body_of_parts(request, service, made)
        else:
            body = await json_body(request)
        consent = text_of(body, "consent", most=service.limits.consent_characters)
        job = await run_in_threadpool(service.submit, body, consent, key)
    except BaseException:
        for identity in made:
            await run_in_threadpool(service.store.uploads.remove, identity)
        raise
    return JSONResponse(service.jobs.seen(job), status_code=202)


@router.get("/v1/videos/{identity}", summary="State of a job")
def show(identity: str, request: Request) -> Message:
    """queued, running, done, failed or cancelled; progress, result or error."""
    service = service_of(request)
    return service.jobs.seen(service.jobs.get(identity))


@router.delete("/v1/videos/{identity}", summary="Cancel or remove a job")
def remove(identity: str, request: Request) -> Response:
    """Cancels a job that has not ended; removes one that has, with its video (204)."""
    service = service_of(request)
    job = service.jobs.get(identity)
    if service.jobs.cancel(job):
        return JSONResponse(service.jobs.seen(job))
    service.jobs.remove(job)
    return Response(status_code=204)


@router.get("/v1/videos/{identity}/events", summary="States of a job as server-sent events")
async def events(identity: str, request: Request) -> EventSourceResponse:
    """Every event has the state for a name and the job for data; the stream ends with the job."""
    service = service_of(request)
    job = service.jobs.get(identity)
    last = request.headers.get("last-event-id", "")
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < 12 else 0
    return EventSourceResponse(_states(service, job, seen), ping=_PING_SEC)


async def _states(service: Service, job: Job, seen: int) -> AsyncIterator[ServerSentEvent]:
    status = None
    said_sec = 0.0
    loop = asyncio.get_running_loop()
    while True:
        version, now = job.version, loop.time()
        is_due = job.status != status or now - said_sec >= _BETWEEN_SEC
        if version > seen and is_due:
            seen, status, said_sec = version, job.status, now
            shown = service.jobs.seen(job, with_request=False)
            yield ServerSentEvent(json.dumps(shown), event=shown["status"], id=str(version))
        if job.status in ENDED and job.version <= seen:
            return
        await asyncio.sleep(_LOOK_SEC)


@router.get("/v1/videos/{identity}/content", summary="The video")
def content(identity: str, request: Request) -> FileResponse:
    """The file; byte ranges are served. ?download=1 makes it an attachment."""
    service = service_of(request)
    job = _done(service, identity)
    ending = str((job.result or {}).get("format"))
    path = service.store.jobs.path(job.id) / f"video.{ending}"
    if not path.is_file():
        raise CallError("not_found", "the video has been removed")
    is_saved = request.query_params.get("download") == "1"
    return FileResponse(
        path,
        media_type=_TYPES.get(ending, "application/octet-stream"),
        filename=f"auteur-{job.id[:8]}.{ending}" if is_saved else None,
        headers={"Cache-Control": "private, max-age=3600"},
    )


@router.get("/v1/videos/{identity}/tracks", summary="Requested and rendered curves")
def tracks(identity: str, request: Request) -> Response:
    """{"requested": track or null, "rendered": track, "head": track}."""
    service = service_of(request)
    folder = service.store.jobs.path(_done(service, identity).id)
    texts: list[str] = []
    for name in _TRACKS:
        path = folder / f"{name}.json"
        texts.append(f'"{name}": {path.read_text(encoding="utf-8") if path.is_file() else "null"}')
    return Response("{" + ", ".join(texts) + "}", media_type="application/json")


def _done(service: Service, identity: str) -> Job:
    job = service.jobs.get(identity)
    if job.status != "done":
        raise CallError("not_done", f"the job is {job.status}")
    return job


async def _body_of_parts(request: Request, service: Service, made: list[str]) -> Body:
    """The body in the part "request", with the ids of the parts that are files; they are added to `made`."""
    form = await form_of(request)
    try:
        text: Any = form.get("request", "{}")
        body = parse_json(text) if isinstance(text, str) else parse_json(await text.read())
        for key, part in form.multi_items():
            if key == "request":
                continue
            if key not in FILE_KEYS or not isinstance(part, UploadFile) or key in body:
                shown = ", ".join(FILE_KEYS)
                raise CallError(
                    "bad_request",
                    f"{key[:40]!r} is no part of one file each ({shown}) nor 'request'",
                    field=key[:40],
                )
            found = await receive(service, part, part.filename)
            made.append(found["id"])
            body[key] = found["id"]
        return body
    finally:
        await form.close()
