import pytest
from contract import DenoiserContract

pytestmark = pytest.mark.slow


class TestPresets(DenoiserContract):
    """Of the fixture `model`: all presets."""
