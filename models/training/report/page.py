"""What the pages of reports are made with: of training runs, and of packages (`export.report`)."""

import base64
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image


@dataclass(frozen=True)
class Headline:
    """A figure at the top of a page, and what it means in a few words."""

    name: str
    value: str
    meaning: str
    leading: bool = False


def render(template: Path, filters: Iterable[Callable[..., Any]], **content: Any) -> str:
    """The page that ``template`` makes of ``content``; it knows ``filters`` by their names."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,  # names of classes, files and licences come from anywhere
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({one.__name__: one for one in filters})
    return environment.get_template(template.name).render(**content)


def data_uri(picture: Image.Image, kind: str, **options: Any) -> str:
    """``picture`` as a data: URI; kind and options are those of Pillow's `save`."""
    encoded = io.BytesIO()
    picture.save(encoded, kind, **options)
    text = base64.b64encode(encoded.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{text}"
