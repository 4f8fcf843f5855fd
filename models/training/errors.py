"""What stops a run."""


class TrainingError(Exception):
    """A run that cannot begin or go on; the message says why and what to do."""
