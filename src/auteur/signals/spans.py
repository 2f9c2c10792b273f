"""A long sequence in steps, each with what lies around it: memory stays bounded and results do not change.

For computations whose reach is known: margins of that reach are computed and cut off again, so nothing is
blended.
"""

from collections.abc import Iterator
from typing import NamedTuple

from auteur.errors import UsageError


class Span(NamedTuple):
    """One step of a sequence."""

    step: slice
    """The step itself."""
    around: slice
    """The step with its margins, as far as the sequence has them."""

    @property
    def inner(self) -> slice:
        """The step within `around`."""
        return slice(self.step.start - self.around.start, self.step.stop - self.around.start)


def spans(count: int, step: int, *, before: int = 0, after: int = 0) -> Iterator[Span]:
    """Yields the spans of `count` elements, `step` at a time.

    Args:
        count: Length of the sequence.
        step: Elements per span, 1 or more; the last one may have fewer.
        before: Margin in front of each.
        after: Margin behind each.

    Raises:
        UsageError: `step` is below 1, or `before` or `after` below 0.
    """
    if step < 1 or before < 0 or after < 0:
        raise UsageError(
            f"pieces of {step} with {before} before and {after} after; the first must be 1 or more, "
            "the others 0 or more"
        )
    for start in range(0, count, step):
        stop = min(start + step, count)
        yield Span(slice(start, stop), slice(max(start - before, 0), min(stop + after, count)))
