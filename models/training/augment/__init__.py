"""Changes to a photo that keep its boxes on its objects.

Every random choice comes from the ``rng`` that is passed in, none from Python's, numpy's or
torch's own generators: the same photo, options and ``rng`` always make the same view.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image
from torch import Tensor

from models.training.augment.colour import add_noise, random_colour, recolour
from models.training.augment.geometry import FILL, Colour, Loaded, Warp, visible
from models.training.augment.mixing import assemble, blend, random_share, random_tiles
from models.training.recipe import Augmentation
from service.imaging.input_spec import ShorterSide, Stretch, WholeInput


@dataclass(frozen=True)
class Augment(Augmentation):
    """Makes the views that `Augmentation` describes, for one kind of input.

    longest, stretched, fill, antialias: of the network's input, see `for_input`. ``longest`` is how
        many times the view's side a photo's longer side may be at scale 1, while the shorter one
        fits in; ``stretched``: both sides are the view's then.
    """

    longest: float = 1.0
    stretched: bool = False
    fill: Colour = FILL
    antialias: bool = True

    def for_input(self, spec: WholeInput) -> "Augment":
        """The same for views that become inputs of ``spec``: at scale 1 a photo is as large in them
        as the service makes it, with the same colour around it."""
        if isinstance(spec, Stretch):
            return replace(self, stretched=True, antialias=spec.antialias)
        longest = spec.longer_side / spec.shorter_side if isinstance(spec, ShorterSide) else 1.0
        return replace(self, longest=longest, fill=spec.fill, antialias=spec.antialias)

    def view(
        self, load: Callable[[int], Loaded], index: int, count: int, size: int, rng: random.Random
    ) -> Loaded:
        """A view of ``size`` x ``size`` pixels of photo ``index`` among ``count``.

        ``load`` gives a photo with its boxes by index; mosaic and MixUp call it for more than one.
        """
        view = self._scene(load, index, count, size, rng)
        if rng.random() >= self.mixup:
            return view
        other = self._scene(load, rng.randrange(count), count, size, rng)
        return blend(view, other, random_share(rng))

    def __call__(
        self, image: Image.Image, boxes: Tensor, labels: Tensor, size: int, rng: random.Random
    ) -> Loaded:
        """A view of ``size`` x ``size`` pixels of one photo, with the boxes that it still shows.

        boxes: float32 [G, 4] xyxy in pixels, labels: int64 [G]; fewer of both are returned.
        """
        return self._cover(image, boxes, labels, (size, size), rng)

    def warp(self, photo: tuple[int, int], canvas: tuple[int, int], rng: random.Random) -> Warp:
        """A random warp of a photo onto a canvas; both sizes are (width, height)."""
        sides, fit = canvas, rng.uniform(*self.scale)
        if not self.stretched:
            fitted = max(max(photo) / self.longest, min(photo))  # on the canvas at scale 1
            sides, fit = photo, fit * max(canvas) / fitted
        stretch = (1 + self.aspect) ** rng.uniform(-0.5, 0.5)
        scaled = (max(1, round(sides[0] * fit * stretch)), max(1, round(sides[1] * fit / stretch)))
        return Warp(
            photo,
            canvas,
            scaled,
            (random_shift(canvas[0] - scaled[0], rng), random_shift(canvas[1] - scaled[1], rng)),
            mirrored=rng.random() < self.flip,
            angle=rng.uniform(-self.rotation, self.rotation),
            fill=self.fill,
            antialias=self.antialias,
        )

    def _scene(
        self, load: Callable[[int], Loaded], index: int, count: int, size: int, rng: random.Random
    ) -> Loaded:
        """A view of photo ``index``, alone or in a mosaic with three others."""
        if rng.random() >= self.mosaic:
            return self(*load(index), size, rng)
        tiles = random_tiles(size, rng)
        indices = [index, *(rng.randrange(count) for _ in tiles[1:])]
        views = [
            self._cover(*load(i), (right - left, bottom - top), rng)
            for i, (left, top, right, bottom) in zip(indices, tiles, strict=True)
        ]
        return assemble(views, tiles, size)

    def _cover(
        self,
        image: Image.Image,
        boxes: Tensor,
        labels: Tensor,
        canvas: tuple[int, int],
        rng: random.Random,
    ) -> Loaded:
        """A view of one photo on a canvas of any width and height."""
        view, warp = self.place(image, canvas, rng)
        return view, *visible(warp.move(boxes), labels, canvas)

    def place(
        self, image: Image.Image, canvas: tuple[int, int], rng: random.Random
    ) -> tuple[Image.Image, Warp]:
        """A view of ``image`` on a canvas of any width and height, and how it got there."""
        warp = self.warp(image.size, canvas, rng)
        # Colours change between cut and paste: of the pixels that are shown, and not of the fill,
        # which is the same when the network is used.
        part = warp.cut(image)
        matrix = random_colour(part, self.colour, self.hue, self.lighting, rng)
        part = add_noise(recolour(part, matrix), rng.uniform(0, self.noise), rng)
        return warp.paste(part), warp


def random_shift(room: int, rng: random.Random) -> int:
    """Where to begin, in pixels, when ``room`` is left over, or is lacking if negative."""
    return rng.randint(min(0, room), max(0, room))
