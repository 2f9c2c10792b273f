"""The denoiser of papers A, B and C: a UNet of diffusers, motion modules, and a plug for each condition."""
