"""The denoiser of papers A, B and C: a UNet, motion modules, and a conditioner for each condition."""
