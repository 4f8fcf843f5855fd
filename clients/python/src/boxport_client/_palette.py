"""Colours of labels, and of the text on them.

PALETTE begins with ten colours chosen by eye. Each further one is, of the colours of sRGB in steps
of 17, the one farthest from all before it (Glasbey et al., "Colour displays for categorical
images", 2007), by Euclidean distance in OKLab (Ottosson 2020), among those of a lightness of
.48-.9 and a chroma of .07-.27: neither as dark, as pale nor as grey as most of a photo. So the
first labels of a data set are the easiest to tell apart, and no two of 96 are alike: the smallest
difference (CIEDE2000) is 11 within the 20 labels of VOC and 6 within the 80 of COCO.
"""

from __future__ import annotations

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = tuple(
    (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16))
    for row in (
        "FF3B47 2F8FFF FFB800 1FC45B B84DFF 00C2C7 FF7A1A FF5FB0 A6DB00 8A6242 EECCFF AA0077",
        "5522EE 006699 007700 33FFDD AA88BB AA9933 BB0000 229977 7744AA DD00BB CCDDAA DD88FF",
        "EEAA99 BB5577 99BBFF CC5500 6677BB 9900DD 00FF77 0066EE 339900 7766FF CC8877 AA55BB",
        "884466 AABB88 007766 77DDEE 66DD99 1199BB DD0077 9988FF FF55EE FF99CC 00DD00 777700",
        "EEDD00 11BBFF 99BB22 AA7722 77AACC 4455BB 77AA77 CC66DD FF7788 AAEE88 556633 DD9933",
        "AA00AA CCAADD FF1199 FFCCAA DD1133 7744DD 665588 BB2255 CCCC55 CC66AA 996699 DD6677",
        "994400 DD88BB 66AA33 EEAAFF 0044EE BB22DD 00DDCC FFBBCC BB3399 88CCBB 1177CC 338844",
        "88FF00 AAEEDD 778855 DDBB77 447799 8866CC 7788DD FF77DD 7700DD 11BB88 44AAAA AA4444",
    )
    for code in row.split()
)
BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)


def label_colour(label_id: int) -> Colour:
    """The colour of a label, always the same; 96 ids in a row have 96 colours."""
    return PALETTE[label_id % len(PALETTE)]


def text_colour(plate: Colour) -> Colour:
    """Black or white, whichever stands out more from ``plate``: 4.58 to 1 at the least."""
    return max((BLACK, WHITE), key=lambda text: contrast(text, plate))


def contrast(one: Colour, other: Colour) -> float:
    """How well one colour can be read on another, 1..21 (WCAG 2.2, contrast ratio)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    """WCAG 2.2, relative luminance."""
    red, green, blue = (_linear(value / 255) for value in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)
