"""Stage 1: what a face should show, heard in speech or asked for."""
