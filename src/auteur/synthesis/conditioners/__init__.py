"""What enters the denoiser, one file each; every one is switched off at first, so that the base is unchanged.

A conditioner encodes what it is given, puts its learned null where a row has nothing, and ends in a layer
whose weights are zero. Adding it to a trained network therefore leaves every output bit for bit the same
until training moves that layer.
"""
