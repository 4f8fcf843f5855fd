"""From a trained network to a model package, with the proof that nothing was lost."""
