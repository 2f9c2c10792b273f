"""AniPortrait, Hallo and MEMO: their published weights fit, and the original code's numbers come out.

Parameters carry the originals' names, so a published file fits without a map of names. Beside each class
stands the name of the original's. Accidental behaviour of the originals is kept and marked where it is
(docs/published_weights.md lists it).
"""
