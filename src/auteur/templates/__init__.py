"""HTML and SVG that this package writes: one Jinja2 environment, in which every value is escaped."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("auteur", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, /, **values: Any) -> str:
    """Returns a template of this folder with its values.

    Args:
        template: File name, such as "evaluation.html".
        values: Values by the names that the template uses; all of them must be given.

    Raises:
        jinja2.UndefinedError: The template uses a name that is not given.
    """
    return _environment().get_template(template).render(values)
