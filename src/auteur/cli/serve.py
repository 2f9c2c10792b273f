"""`auteur serve`: the HTTP service."""

from auteur.cli.arguments import Flag, options
from auteur.cli.console import note
from auteur.cli.service_arguments import ServiceOptions


@options
class ServeArguments:
    """Everything that `auteur serve` takes."""

    json: Flag = False
    """Print {"url": …} once the port is bound."""
    service: ServiceOptions = ServiceOptions()


def serve(arguments: ServeArguments) -> int:
    """Offers generate, track, convert and listening over HTTP until Ctrl-C; docs/service.md lists the calls.

    Examples:
        auteur serve
            http://127.0.0.1:7860/docs shows every call
        auteur serve --port 8000 --folder /srv/auteur --keep-hours 72
        AUTEUR_TOKEN=… auteur serve --host 0.0.0.0 --name studio.example.org
            reachable from other machines, with a token
    """
    return run(arguments.service, json=arguments.json, opens_browser=False)


def run(options: ServiceOptions, *, json: bool, opens_browser: bool) -> int:
    """Serves until it is interrupted."""
    settings = options.settings()
    from auteur.service.serving import serve as serve_settings

    def on_ready(url: str) -> None:
        if json:
            import json as json_text

            print(json_text.dumps({"url": url}), flush=True)
        note(f"{url} – Ctrl-C ends it; files lie in {settings.folder}")
        if opens_browser:
            import threading
            import webbrowser

            page = url if settings.token is None else f"{url}?token={settings.token}"
            threading.Timer(1.0, webbrowser.open, [page]).start()

    try:
        serve_settings(settings, on_ready=on_ready)
    except KeyboardInterrupt:
        note("stopped; jobs that wait go on with the next start")
    return 0
