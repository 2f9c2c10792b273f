"""One readable recipe per model, run by one trainer."""
