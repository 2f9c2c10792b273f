from contract import DenoiserContract


class TestPresets(DenoiserContract):
    """Of the fixture `model`: all presets."""
