"""Many videos from a file of jobs."""
