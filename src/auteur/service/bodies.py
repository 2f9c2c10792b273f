"""What clients send, before anything looks into it: JSON objects and files."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from auteur.service.problems import CallError

Body = dict[str, Any]

_STEP_BYTES = 1 << 20
MOST_PARTS = 16


async def json_body(request: Request) -> Body:
    """Returns the JSON object of a request.

    Raises:
        CallError: The type is another, or the body is no JSON object.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise CallError("bad_type", f"the body is {kind or 'of no type'}; send application/json")
    return parse_json(await request.body())


def parse_json(content: bytes | str) -> Body:
    """Returns a JSON object; repeated keys, NaN and endless numbers are refused.

    Raises:
        CallError: It is none.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        values = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
        json.dumps(values, ensure_ascii=False).encode()  # lone surrogates cannot be kept
    except UnicodeError as error:
        raise CallError("bad_json", "the body is not text in UTF-8") from error
    except RecursionError as error:
        raise CallError("bad_json", "the body is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise CallError(
            "bad_json", f"the body is no JSON: {error.msg} at character {error.pos + 1}"
        ) from error
    except ValueError as error:
        raise CallError("bad_json", f"the body is no JSON: {str(error)[:80]}") from error
    if not isinstance(values, dict):
        raise CallError("bad_json", 'the body is no JSON object; send {"key": value, …}')
    return values


async def chunks_of(source: Request | UploadFile) -> AsyncIterator[bytes]:
    """Yields the bytes of a body or of a part."""
    if isinstance(source, Request):
        async for chunk in source.stream():
            yield chunk
        return
    while chunk := await source.read(_STEP_BYTES):
        yield chunk


async def write_file(path: Path, source: Request | UploadFile) -> int:
    """Writes the bytes of a body or of a part; returns how many.

    Raises:
        CallError: There are none.
    """
    size = 0
    with path.open("xb") as file:
        async for chunk in chunks_of(source):
            file.write(chunk)
            size += len(chunk)
    if not size:
        raise CallError("bad_request", "the file is empty")
    return size


def text_of(body: Body, key: str, *, most: int, required: bool = False) -> str | None:
    """Takes a text out of a body.

    Raises:
        CallError: It is no text, too long, or missing where it is required.
    """
    value = body.pop(key, None)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise CallError("bad_value", f"{key} must be text", field=key)
    if len(value) > most:
        raise CallError("bad_value", f"{key} has {len(value)} characters; at most {most}", field=key)
    return value


def number_of(body: Body, key: str) -> float:
    """Takes a number out of a body.

    Raises:
        CallError: It is none.
    """
    value = body.pop(key, None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**63:
        raise CallError("bad_value", f"{key} must be a number", field=key)
    return float(value)


def nothing_left(body: Body, *known: str) -> None:
    """Refuses keys that were not taken out of a body.

    Raises:
        CallError: There are some.
    """
    if body:
        key = next(iter(body))
        raise CallError(
            "bad_value", f"unknown key {key[:80]!r}; choose among {', '.join(known)}", field=key[:80]
        )


def _once(pairs: list[tuple[str, Any]]) -> Body:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is there twice")
    return values


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
