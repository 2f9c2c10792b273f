"""AniPortrait, Hallo and MEMO: their published weights fit, and the original code's numbers come out.

Parameters carry the originals' names, so a published file fits without a map of names. Beside each class
stands the name of the original's. What the originals do by accident is done here too, and said where it is
done (docs/published_weights.md lists it all).
"""
