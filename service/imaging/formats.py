"""The formats of image files that are read."""

import importlib
from collections.abc import Sequence

# Only what people take photos with; each further decoder is one more that strangers can reach.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
# Of the files that hold them.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"})
# Known to Pillow once another package has been installed: the package, and what registers it.
PLUGINS = {"HEIF": ("pillow-heif", "pillow_heif", "register_heif_opener")}


def enable_formats(names: Sequence[str]) -> tuple[str, ...]:
    """Formats as Pillow knows them, once it can read each; raises ValueError if it cannot."""
    for name in names:
        if name in PLUGINS:
            package, module, register = PLUGINS[name]
            try:
                getattr(importlib.import_module(module), register)()
            except ImportError:
                raise ValueError(
                    f"{name}: needs the package {package}; pip install --group heif"
                ) from None
        elif name not in FORMATS:
            known = ", ".join((*FORMATS, *PLUGINS))
            raise ValueError(f"{name}: is no format that is read; there are {known}")
    return tuple(names)
