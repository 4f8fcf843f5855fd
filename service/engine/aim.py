"""Which model a request is for, as far as can be told before its body is read."""

from dataclasses import dataclass

from service.manifest import Task


@dataclass(frozen=True)
class Aim:
    """task: what the request wants done; None if its model decides that.

    reference: a model's name or name/version; None for the first of the task.
    certain: whether that is the model, or the body may name another.
    """

    task: Task | None
    reference: str | None
    certain: bool
