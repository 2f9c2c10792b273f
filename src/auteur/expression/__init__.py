"""Stage 1: expression over time, predicted from speech or generated from an emotion."""
