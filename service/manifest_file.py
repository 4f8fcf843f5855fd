"""A manifest as text: strict JSON, of version 2 or 1, and what is wrong with it in a line."""

import errno
import json
from pathlib import Path
from typing import Any, get_args

from pydantic_core import ErrorDetails

from service.provenance import ParityReference

INPUT_FIELDS_OF_2 = ("anchor", "channel_order", "scale")  # which version 1 does not have


def read_file(path: Path) -> bytes:
    """The content of one of a package's files; raises OSError, of a pipe too: nobody may ever write
    to it."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Is no plain file", str(path))
    return path.read_bytes()


def parse(content: bytes) -> Any:
    """JSON in UTF-8; raises ValueError or RecursionError."""
    return json.loads(content.decode(), object_pairs_hook=_distinct)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} is there twice")
    return found


def describe(fault: ErrorDetails) -> str:
    """The field, and what is wrong with it; pydantic puts a union's tag into the field's path."""
    path, message = [str(part) for part in fault["loc"][1:]], fault["msg"]
    if path[:1] == ["input"]:
        del path[1:2]
    if fault["type"].startswith("union_tag"):
        union = fault["ctx"]
        path.append(union["discriminator"].strip("'"))
        expected = union.get("expected_tags")
        message = f"Input should be one of {expected}" if expected else "Field required"
    return f"{'.'.join(path) or 'content'}: {message}"


def from_version_1(content: Any) -> Any:
    """A manifest of version 1 as version 2 says the same; raises ValueError for what it cannot say.

    There ``parity.reference`` was free text: "PyTorch", or the precision that was converted.
    """
    if not isinstance(content, dict) or content.get("schema_version", 1) != 1:
        return content
    model_input, parity, provenance = (
        content[part] if isinstance(content.get(part), dict) else {}
        for part in ("input", "parity", "provenance")
    )
    stated = [f"input.{field}" for field in INPUT_FIELDS_OF_2 if field in model_input]
    if model_input.get("resize") == "stretch":
        stated.append("input.resize: stretch")
    if (reference := parity.get("reference")) in get_args(ParityReference):
        stated.append(f"parity.reference: {reference}")
    if stated:
        raise ValueError(f"{stated[0]} is of schema_version 2, and this manifest is of 1")
    upgraded = {**content, "schema_version": 2}
    if parity:
        reference = "float32_package" if provenance.get("converted") else "boxport_network"
        upgraded["parity"] = {**parity, "reference": reference}
    if model_input.get("resize") == "centre_crop":  # it stated what a crop does not use as well
        unused = {"fill"} | ({"antialias"} if model_input.get("antialias") is True else set())
        upgraded["input"] = {k: v for k, v in model_input.items() if k not in unused}
    return upgraded
