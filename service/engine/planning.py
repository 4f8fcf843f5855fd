"""Which pipeline a request asks for, and how much it may ask of it."""

from dataclasses import dataclass, replace

from service.engine.pipelines import (
    Detections,
    ModelCall,
    Pipeline,
    Regions,
    Shared,
    WholeImage,
)
from service.imaging.regions import Context
from service.imaging.resize import Box
from service.inference.model import LoadedModel
from service.parameters import ClassifyParameters, DetectParameters, RequestParameters
from service.problems import Problem


@dataclass(frozen=True)
class RegionLimits:
    """The fields are those of the settings."""

    max_regions: int
    max_request_regions: int

    def check(self, images: int, parameters: RequestParameters) -> int:
        """How many images a request brings for admission, of which each region is one; raises
        Problem if it has more regions than it may."""
        if second_model(parameters) is not None:
            most = getattr(parameters, "max_detections", None) or 0
            if most > self.max_regions:
                raise _too_many(f"max_detections = {most} with then", self.max_regions, "an image")
        found = regions_of(parameters, images)
        if found is None:
            given = len(getattr(parameters, "regions", None) or ())  # where a detector looks
            if given > self.max_regions:
                raise _too_many(f"{given} regions", self.max_regions, "an image")
            return images
        if (most := max(map(len, found))) > self.max_regions:
            raise _too_many(f"{most} regions", self.max_regions, "an image")
        if (number := sum(map(len, found))) > self.max_request_regions:
            told = f"{number} regions of {images} images"
            raise _too_many(told, self.max_request_regions, "a request")
        return sum(max(len(boxes), 1) for boxes in found)


def regions_of(parameters: RequestParameters, images: int) -> list[list[Box]] | None:
    """The regions of each of so many images, None if the images are asked for as a whole; raises
    Problem if one is of an image that is not there.

    A region that names no image holds for all, as other parameters do. One that does begins with
    the image's place, as the regions of Fast R-CNN (Girshick 2015) and ONNX's RoiAlign do.
    """
    if not isinstance(parameters, ClassifyParameters) or parameters.regions is None:
        return None
    found: list[list[Box]] = [[] for _ in range(images)]
    for *image, left, top, right, bottom in parameters.regions:
        place = int(image[0]) if image else 0
        if place >= images:
            raise Problem(
                "invalid_parameter",
                f"regions: there is no image {place}; there are {images}, counted from 0.",
            )
        for boxes in [found[place]] if image else found:
            boxes.append((left, top, right, bottom))
    return found


def second_model(parameters: RequestParameters) -> str | None:
    """The classifier that is run on what a detector finds, if one is asked for."""
    return parameters.then if isinstance(parameters, DetectParameters) else None


def asks_of_whole_images(parameters: RequestParameters) -> bool:
    """Whether a result is all that one model says of an image."""
    regions = parameters.regions if isinstance(parameters, ClassifyParameters) else None
    return regions is None and second_model(parameters) is None


def plan(
    model: LoadedModel,
    second: LoadedModel | None,
    parameters: RequestParameters,
    images: int,
    limits: RegionLimits,
    shared: Shared,
) -> list[Pipeline]:
    """What answers each of the ``images`` of a request; raises Problem if its ``parameters`` do not
    suit the models.

    second: that of `second_model`.
    """

    def call(model: LoadedModel, parameters: RequestParameters) -> ModelCall:
        return ModelCall(model, model.predictor.to_query(parameters), shared)

    if parameters.wants_novelty:
        _check_novelty(model, parameters, images)
    first = call(model, parameters)
    if isinstance(parameters, DetectParameters) and second is not None:
        most = min(first.query.max_detections, limits.max_regions)
        detector = replace(first, query=replace(first.query, max_detections=most))
        classifier = call(second, ClassifyParameters(top_k=parameters.top_k))
        return [Detections(detector, classifier, _context(parameters))] * images
    regions = regions_of(parameters, images)
    if isinstance(parameters, ClassifyParameters) and regions is not None:
        return [Regions(first, boxes, _context(parameters)) for boxes in regions]
    return [WholeImage(first)] * images


def _check_novelty(model: LoadedModel, parameters: RequestParameters, images: int) -> None:
    if model.companion is None:
        raise Problem(
            "invalid_parameter",
            f"novelty: {model.manifest.name} has no companion that knows its training photos;"
            " `python -m export novelty` makes one.",
        )
    if regions_of(parameters, images) is not None:
        raise Problem(
            "invalid_parameter", "novelty: is of whole photos; leave out either it or regions."
        )


def _context(parameters: DetectParameters | ClassifyParameters) -> Context:
    return Context(parameters.region_padding or 0.0, parameters.region_resize or "model")


def _too_many(what: str, most: int, of: str) -> Problem:
    return Problem("too_many_regions", f"{what}; at most {most} {of}.")
