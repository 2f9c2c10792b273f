"""From a performed video to frames: renderers, and what a denoiser needs around it."""
