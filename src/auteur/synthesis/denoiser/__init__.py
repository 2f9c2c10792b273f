"""The denoiser of papers A, B and C: a UNet, motion modules, and a plug for each condition."""
