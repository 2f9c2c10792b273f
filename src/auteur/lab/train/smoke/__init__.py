"""Look-alike data and small settings for every recipe: each is tried in seconds, without any data at hand.

The data are made by simple processes whose answer is known (a talker with formants and a jaw, faces drawn
from polygons, Action Units that move the shipped basis). They show that a recipe learns, never how well.
"""
