"""What ends a bulk job."""


class BulkError(Exception):
    """A job that cannot begin or go on; the message says what is wrong, where, and what to do."""


def one_line(error: BaseException) -> str:
    """Of an error whose own words may be many lines, as those of Arrow and Ray are."""
    return " ".join(str(error).split()) or type(error).__name__
