"""Every conditioner, one row each: networks, configs, conditions, clips, guidance and recipes use it."""

from auteur.synthesis.conditioners.au import AUConditioner
from auteur.synthesis.conditioners.audio import AudioConditioner
from auteur.synthesis.conditioners.base import Conditioner, Input
from auteur.synthesis.conditioners.expression import ExpressionConditioner
from auteur.synthesis.conditioners.identity import IdentityConditioner
from auteur.synthesis.conditioners.landmarks import LandmarksConditioner
from auteur.synthesis.conditioners.past import PastConditioner
from auteur.synthesis.conditioners.reference import ReferenceConditioner
from auteur.synthesis.conditioners.warped import WarpedConditioner

CONDITIONERS: dict[str, type[Conditioner]] = {
    kind.name: kind
    for kind in (
        ReferenceConditioner,
        IdentityConditioner,
        WarpedConditioner,
        LandmarksConditioner,
        AUConditioner,
        ExpressionConditioner,
        AudioConditioner,
        PastConditioner,
    )
}
"""By name. New rows go to the end: seeds draw new weights and dropout in this order."""


def inputs_by_name() -> dict[str, tuple[Input, str]]:
    """Returns every tensor that conditioners read, with the name of its conditioner; first inputs first."""
    own = {kind.inputs[0].name: (kind.inputs[0], name) for name, kind in CONDITIONERS.items()}
    further = {one.name: (one, name) for name, kind in CONDITIONERS.items() for one in kind.inputs[1:]}
    return own | further
