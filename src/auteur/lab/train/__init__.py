"""One readable recipe per model over a shared loop."""
