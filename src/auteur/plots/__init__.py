"""Pictures of a performance: curves over time and contact sheets."""
