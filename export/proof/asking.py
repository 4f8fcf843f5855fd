"""Runs an owner's function on photos: `python asking.py FILE FUNCTION DESCRIPTOR < PHOTOS`.

The one file here that runs in the owner's Python, of 3.9 or later, without Boxport. A line of JSON
for each photo, or at last for what was raised, is written to DESCRIPTOR, which what the function
prints does not reach.
"""

import inspect
import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

IMAGE_NAMES = ("image", "img", "photo")  # of a parameter that takes the photo, not its path


def plain(value: Any) -> Any:
    """Lists, dictionaries, numbers and texts of what may be tensors, arrays or their like."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for method in ("detach", "cpu", "float", "tolist"):
        if hasattr(value, method):
            value = getattr(value, method)()
    return value if isinstance(value, (str, list)) or value is None else float(value)


def load(path: Path, name: str) -> Any:
    """The function called ``name`` of the file, which finds its neighbours as a script does."""
    sys.path.insert(0, str(path.parent))
    found = runpy.run_path(str(path), run_name="reference").get(name)
    if not callable(found):
        raise AttributeError(f"there is no function {name} in it")
    return found


def read(path: str) -> Any:
    """The photo, upright, in RGB."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def main(file: str, name: str, descriptor: str) -> None:
    path, photo = Path(file).resolve(), None
    with os.fdopen(int(descriptor), "w") as answers:
        try:
            function = load(path, name)
            first = next(iter(inspect.signature(function).parameters), "")
            for photo in json.load(sys.stdin):
                answer = plain(function(read(photo) if first in IMAGE_NAMES else photo))
                answers.write(json.dumps({"answer": answer}) + "\n")
                answers.flush()
        except BaseException as error:
            traceback.print_exc()
            reason = (f"{type(error).__name__}: {error}".splitlines() or [""])[0]
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if Path(frame.filename) == path]
            answers.write(json.dumps({"error": reason, "photo": photo, "line": lines[-1:]}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
