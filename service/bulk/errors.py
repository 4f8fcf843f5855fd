"""The error that ends a bulk job."""


class BulkError(Exception):
    """A job cannot begin or go on; the message says what is wrong, where, and what to do."""
