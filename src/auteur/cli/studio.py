"""`auteur studio`: the page in which a performance is drawn."""

from typing import Annotated

import tyro

from auteur.cli.arguments import Flag, options
from auteur.cli.serve import run
from auteur.cli.service_arguments import ServiceOptions


@options
class StudioArguments:
    """Everything that `auteur studio` takes."""

    browser: Annotated[bool, tyro.conf.arg(name="browser")] = True
    """Open the page in the default browser."""
    json: Flag = False
    """Print {"url": …} once the port is bound."""
    service: ServiceOptions = ServiceOptions()


def studio(arguments: StudioArguments) -> int:
    """Opens the studio in the browser: draw the performance under the waveform, see it, compare takes.

    Everything stays on this machine.

    Examples:
        auteur studio
        auteur studio --port 8000 --no-browser
            http://127.0.0.1:8000/
    """
    return run(arguments.service, json=arguments.json, opens_browser=arguments.browser)
