"""The official public checkpoints of our variants: their table, and how they are fetched."""
