"""The page that lists every call; it loads nothing from elsewhere, as usual pages of this kind do."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from auteur.templates import render

_EXAMPLES: dict[str, Any] = {
    "/v1/say": {"text": "Hello there."},
    "/v1/listen": {"speech": "91be6f0d0c6b4c7f8a9b0c1d2e3f4a5b"},
    "/v1/track": {"source": "91be6f0d0c6b4c7f8a9b0c1d2e3f4a5b", "face": 0},
    "/v1/convert": {"track": {"curves": {"AU12": [[0, 0], [1, 0.8]]}, "duration_sec": 2}, "to": "livelink"},
}

_FILE = {"type": "string", "format": "binary"}


def openapi_of(app: FastAPI, schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the OpenAPI description of the calls.

    Args:
        app: What has the routes.
        schema: Of the body of a job.
    """
    made = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description="See docs/service.md.",
        routes=app.routes,
    )
    moment = {
        "time_sec": {"type": "number"},
        "quality": {"enum": ["landmarks", "small", "full"], "default": "small"},
        "stream": {"type": "string", "maxLength": 64},
    }
    example = schema["examples"][0]
    preview = {
        **schema,
        "properties": schema["properties"] | moment,
        "required": ["portrait", "time_sec"],
        "examples": [{**example, "time_sec": 1.2, "quality": "small"}],
    }
    made.setdefault("components", {}).setdefault("schemas", {}).update({"Job": schema, "Moment": preview})
    for path, methods in made["paths"].items():
        if "post" in methods and path != "/v1/uploads":
            name = {"/v1/videos": "Job", "/v1/preview": "Moment"}.get(path)
            body: dict[str, Any] = {"schema": {"type": "object"}, "example": _EXAMPLES.get(path)}
            if name is not None:
                shown = {"Job": schema, "Moment": preview}[name]["examples"][0]
                body = {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": shown}
            methods["post"]["requestBody"] = {"required": True, "content": {"application/json": body}}
        elif "post" in methods:
            parts = {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
            content = {
                "multipart/form-data": {"schema": parts},
                "application/octet-stream": {"schema": _FILE},
            }
            methods["post"]["requestBody"] = {"required": True, "content": content}
    return made


def documentation_page(description: dict[str, Any]) -> str:
    """Returns an HTML page of an OpenAPI description; it runs no script and loads nothing."""
    calls = [
        {
            "method": method.upper(),
            "path": path,
            "summary": call.get("summary", ""),
            "description": call.get("description", ""),
            "example": _example_of(call),
        }
        for path, methods in description["paths"].items()
        for method, call in methods.items()
    ]
    keys = description["components"]["schemas"]["Moment"]["properties"]
    return render(
        "calls.html",
        title=f"Auteur {description['info']['version']}: calls of the service",
        calls=calls,
        keys=[(key, json.dumps(value)) for key, value in sorted(keys.items())],
    )


def _example_of(call: dict[str, Any]) -> str:
    content = call.get("requestBody", {}).get("content", {})
    example = content.get("application/json", {}).get("example")
    return "" if example is None else json.dumps(example, indent=1, ensure_ascii=False)
