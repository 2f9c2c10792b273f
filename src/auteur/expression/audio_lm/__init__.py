"""The audio-language model of AUHead (arXiv 2602.09534): hears the emotion, then writes Action Units."""
