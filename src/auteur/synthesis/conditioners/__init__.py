"""Conditioners of the denoiser, one file each; a new one adds nothing, so that the base is unchanged.

A conditioner encodes its inputs, uses its learned null in rows without them, and ends in a layer
whose weights are zero. Adding it to a trained network therefore leaves every output bit for bit the same
until training moves that layer.
"""
