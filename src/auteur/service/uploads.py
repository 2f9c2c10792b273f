"""Calls about uploads."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException

from auteur.files import is_disk_full
from auteur.service.bodies import MOST_PARTS, json_body, nothing_left, text_of, write_file
from auteur.service.problems import CallError
from auteur.service.service import Message, Service

router = APIRouter()

_TYPES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"fLaC": "audio/flac",
    b"OggS": "audio/ogg",
    b"ID3": "audio/mpeg",
    b"\x1aE\xdf\xa3": "video/webm",
}


def service_of(request: Request) -> Service:
    """Returns the service behind a request."""
    return request.app.state.service


async def form_of(request: Request) -> FormData:
    """Returns the parts of a multipart body.

    Raises:
        CallError: The body is malformed.
    """
    try:
        return await request.form(max_files=MOST_PARTS, max_fields=MOST_PARTS)
    except CallError:
        raise
    except Exception as error:
        detail = str(getattr(error, "detail", error))[:120]
        known = isinstance(error, MultiPartException | KeyError | ValueError) or hasattr(error, "detail")
        if not known:
            raise
        raise CallError("bad_request", f"the multipart body is malformed: {detail}") from error


def is_multipart(request: Request) -> bool:
    """Returns whether the body has parts."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def receive(service: Service, source: Request | UploadFile, name: str | None) -> Message:
    """Writes an upload and returns what is known of it; nothing stays of one that cannot be used.

    Raises:
        CallError: It is too large, empty, of no known kind, or there is no room.
    """
    identity = await run_in_threadpool(service.begin_upload)
    try:
        await write_file(service.store.uploads.path(identity) / "file", source)
        return await run_in_threadpool(service.finish_upload, identity, name)
    except BaseException as error:
        await run_in_threadpool(service.store.uploads.remove, identity)
        if isinstance(error, OSError) and is_disk_full(error):
            raise CallError(
                "disk_full", "the disk is full; remove results, or wait until some expire"
            ) from error
        raise


@router.post("/v1/uploads", status_code=201, summary="Upload a picture, sound, video or table")
async def upload(request: Request) -> JSONResponse:
    """Multipart with one part "file", or the bytes themselves with ?name=talk.wav. Answers with the id."""
    service = service_of(request)
    if not is_multipart(request):
        found = await receive(service, request, request.query_params.get("name"))
        return JSONResponse(found, status_code=201)
    form = await form_of(request)
    try:
        part = form.get("file")
        if not isinstance(part, UploadFile) or len(form) != 1:
            raise CallError("bad_request", "send one part with the name file", field="file")
        return JSONResponse(await receive(service, part, part.filename), status_code=201)
    finally:
        await form.close()


@router.get("/v1/uploads/{identity}", summary="What is known of an upload")
def show_upload(identity: str, request: Request) -> JSONResponse:
    """Kind, size, length and when it expires."""
    service = service_of(request)
    return JSONResponse(service.seen_upload(service.store.uploads.read(identity)))


@router.get("/v1/uploads/{identity}/content", summary="The bytes of an upload")
def upload_content(identity: str, request: Request) -> FileResponse:
    """The file as it was sent."""
    service = service_of(request)
    record = service.store.uploads.read(identity)
    path = service.store.upload_path(identity, record)
    return FileResponse(path, media_type=_type_of(path, record["kind"]))


@router.delete("/v1/uploads/{identity}", status_code=204, summary="Remove an upload")
def remove_upload(identity: str, request: Request) -> Response:
    """409 while a job needs it."""
    service_of(request).remove_upload(identity)
    return Response(status_code=204)


@router.post("/v1/say", status_code=201, summary="Text to speech")
async def say(request: Request) -> JSONResponse:
    """{"text": "Hello there."}; answers with an upload and the times of its words."""
    service, body = service_of(request), await json_body(request)
    text = text_of(body, "text", most=service.limits.text_characters, required=True)
    voice = text_of(body, "voice", most=64)
    nothing_left(body, "text", "voice")

    def spoken() -> Message:
        identity = service.begin_upload()
        try:
            path = service.store.uploads.path(identity) / "file"
            answer = service.call(
                "analysis", {"task": "say", "text": text, "voice": voice, "path": str(path)}
            )
            return service.finish_upload(identity, "speech.wav", words=answer.result["words"])
        except BaseException:
            service.store.uploads.remove(identity)
            raise

    return JSONResponse(await run_in_threadpool(spoken), status_code=201)


def _type_of(path: Path, kind: str) -> str:
    """A type that a browser shows as picture, sound or video, never as a page."""
    with path.open("rb") as file:
        head = file.read(16)
    for start, found in _TYPES.items():
        if head.startswith(start):
            return found
    if head[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(head[8:12], "application/octet-stream")
    if head[4:8] == b"ftyp":
        return {"image": "image/avif", "sound": "audio/mp4"}.get(kind, "video/mp4")
    return "text/plain" if kind == "table" else "application/octet-stream"
