"""Image files to decode."""

from io import BytesIO

from PIL import Image

LIMIT = 1_000_000  # pixels


def quadrants(width: int = 60, height: int = 40) -> Image.Image:
    """Red and green above, blue and yellow below: no turn or flip leaves it as it is."""
    image = Image.new("RGB", (width, height))
    colours = ("red", "lime", "blue", "yellow")
    for i, colour in enumerate(colours):
        x, y = i % 2 * width // 2, i // 2 * height // 2
        image.paste(colour, (x, y, x + width // 2, y + height // 2))
    return image


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def animation(image_format: str, number: int) -> bytes:
    frames = [Image.new("RGB", (8, 8), (i * 20, 0, 0)) for i in range(number)]
    return encode(frames[0], image_format, save_all=True, append_images=frames[1:])
