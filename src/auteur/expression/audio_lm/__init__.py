"""The audio-language model of AUHead (arXiv 2602.09534): speech → emotion → Action Units as text."""
