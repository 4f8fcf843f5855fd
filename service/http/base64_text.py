"""Bytes that were sent as text."""

import binascii
import re
from urllib.parse import unquote

DATA_URI = re.compile(r"\s*data:[^,]*,", re.IGNORECASE)
WHITE_SPACE = b" \t\r\n\f\v"
TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def decode_base64(text: str) -> bytes:
    """The bytes that ``text`` stands for, which may be a data URI (RFC 2397).

    What writers of base64 differ in is read alike: white space anywhere, padding or none, and
    either alphabet of RFC 4648. Raises ValueError for anything else, both alphabets in one text
    included.
    """
    if uri := DATA_URI.match(text, 0, 1000):
        text = unquote(text[uri.end() :])
    try:
        return binascii.a2b_base64(text, strict_mode=True)  # as most write it, at once
    except ValueError:
        content = text.encode("ascii").translate(None, WHITE_SPACE).rstrip(b"=")
    if b"+" not in content and b"/" not in content:
        content = content.translate(TO_STANDARD)
    return binascii.a2b_base64(content + b"=" * (-len(content) % 4), strict_mode=True)
