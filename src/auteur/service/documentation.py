"""The page that lists every call; it loads nothing from elsewhere, as usual pages of this kind do."""

import json
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_EXAMPLES: dict[str, Any] = {
    "/v1/say": {"text": "Hello there."},
    "/v1/listen": {"speech": "91be6f0d0c6b4c7f8a9b0c1d2e3f4a5b"},
    "/v1/track": {"source": "91be6f0d0c6b4c7f8a9b0c1d2e3f4a5b", "face": 0},
    "/v1/convert": {"track": {"curves": {"AU12": [[0, 0], [1, 0.8]]}, "duration_sec": 2}, "to": "livelink"},
}

_FILE = {"type": "string", "format": "binary"}

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
body { color: #1b1b1f }
code, pre { font: 13px/1.45 ui-monospace, monospace; background: #f2f2f5; border-radius: 4px }
code { padding: 1px 4px } pre { padding: .7rem; overflow: auto }
h2 { margin: 2rem 0 .3rem; font-size: 1.05rem }
b { display: inline-block; min-width: 4.2rem; color: #14508c }
@media (prefers-color-scheme: dark) {
body { background: #17171a; color: #e6e6ea }
code, pre { background: #26262b }
b { color: #8cc0ff } }
"""


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
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>Auteur {escape(description['info']['version'])}: calls</title><style>{_STYLE}</style>",
        "<h1>Auteur: calls of the service</h1><p>The same for programs: "
        "<a href='/openapi.json'><code>/openapi.json</code></a>.</p>",
    ]
    for path, methods in description["paths"].items():
        for method, call in methods.items():
            parts.append(f"<h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2>")
            parts.append(f"<p>{escape(call.get('summary', ''))}. {escape(call.get('description', ''))}</p>")
            content = call.get("requestBody", {}).get("content", {})
            example = content.get("application/json", {}).get("example")
            if example is not None:
                parts.append(f"<pre>{escape(json.dumps(example, indent=1, ensure_ascii=False))}</pre>")
    keys = description["components"]["schemas"]["Moment"]["properties"]
    rows = "".join(
        f"<tr><td><code>{escape(key)}</code></td><td><code>{escape(json.dumps(value))}</code></td></tr>"
        for key, value in sorted(keys.items())
    )
    parts.append(f"<h2>Keys of jobs and previews</h2><table>{rows}</table></html>")
    return "".join(parts)
