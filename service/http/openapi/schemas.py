"""The shapes of requests and answers, as the service's OpenAPI description shows them.

BentoML's schema has them too, so that the process which starts workers loads this: nothing here may
import what runs models.
"""

from typing import Annotated, Any, ClassVar

from _bentoml_sdk.io_models import IODescriptor
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from typing_extensions import TypeAliasType

from service.parameters import ClassifyParameters, DetectParameters
from service.problems import KINDS

FILES = "One or more image files, each with a file name."
ImageFile = Annotated[str, Field(json_schema_extra={"format": "binary"})]
# An alias, so that it stands in the description by its name.
ErrorCode = TypeAliasType(
    "ErrorCode",
    Annotated[
        str,
        Field(
            description="What went wrong, by a stable name. Later versions may add others.",
            json_schema_extra={"enum": [*KINDS]},
        ),
    ],
)


class RawRequest(IODescriptor):
    """A BentoML input that hands the request itself to the API.

    BentoML's own inputs know one form of a request only, parse it on the event loop without a
    limit, and reply errors in their own shape. The fields of a subclass describe the form.
    """

    __root_input__: ClassVar[bool] = True  # the API takes the whole input as its one argument
    media_type: ClassVar[str] = "multipart/form-data"

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Any:
        return request


class InlineImage(BaseModel):
    """An image in JSON."""

    model_config = ConfigDict(extra="forbid")

    base64: str = Field(
        min_length=1,
        description="The file's bytes, or a data URI of them.",
        json_schema_extra={"format": "byte"},
    )


class ImageUrl(BaseModel):
    """An image that the service fetches from the hosts that its operator allows: by default none,
    and the answer is url_not_allowed."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="An http:// or https:// URL.", json_schema_extra={"format": "uri"})


class DetectForm(DetectParameters, RawRequest):
    """A request to /v1/detect as a form; a raw image/* body or JSON will do as well."""

    images: list[ImageFile] = Field(min_length=1, description=FILES)


class ClassifyForm(ClassifyParameters, RawRequest):
    """A request to /v1/classify as a form; a raw image/* body or JSON will do as well."""

    images: list[ImageFile] = Field(min_length=1, description=FILES)


class DetectRequest(DetectParameters):
    """A request to /v1/detect in JSON."""

    images: list[InlineImage | ImageUrl] = Field(min_length=1, description="One or more images.")


class ClassifyRequest(ClassifyParameters):
    """A request to /v1/classify in JSON."""

    images: list[InlineImage | ImageUrl] = Field(min_length=1, description="One or more images.")


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 has it. Programs may rely on `code`; titles and details may change."""

    type: str = Field(description="Always about:blank: the code says more.")
    title: str = Field(description="What all problems of this code share.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    code: ErrorCode
    detail: str = Field(description="One sentence on this case: what was wrong, and what to do.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    request_id: str = Field(description="As in the header X-Request-ID, and in the logs.")


class ModelReference(BaseModel):
    """The model that gave an answer."""

    name: str
    version: str
    sha256: str = Field(description="Of the graph that gave the answer.")


class Timing(BaseModel):
    """Milliseconds; each stage is that of the request's slowest image."""

    decode: float = Field(ge=0, description="From the file's bytes to the model's input.")
    queue: float = Field(ge=0, description="Waiting for a free runner.")
    inference: float = Field(ge=0, description="Of the batch that the image was in.")
    total: float = Field(
        ge=0, description="From the request, once its body is read, to the answer."
    )


class Classification(BaseModel):
    """One class. A classifier's scores of an image are its probabilities."""

    label: str
    label_id: int = Field(description="The data set's own id of the label.")
    score: float = Field(ge=0, le=1)


class Detection(BaseModel):
    """One object."""

    box: tuple[float, float, float, float] = Field(
        description="Left, top, right, bottom in pixels of the upright image; within it."
    )
    score: float = Field(ge=0, le=1)
    label: str
    label_id: int = Field(description="The data set's own id of the label.")
    contour: list[tuple[float, float]] | None = Field(
        None,
        description="Its outline, a closed polygon: x and y of each vertex, in pixels of the"
        " upright image and within it. Of a model that finds outlines, unless `contours` is false.",
    )
    classifications: list[Classification] | None = Field(
        None, description="Of what its box marks, best first: if the request has `then`."
    )


class ImageError(BaseModel):
    """What is wrong with one image."""

    code: ErrorCode
    detail: str = Field(description="One sentence: what was wrong, and what to do.")
    retryable: bool = Field(description="Whether the same image may succeed later.")


class FailedImage(BaseModel):
    """Stands in a bad image's place when others of the request are good."""

    error: ImageError


class ImageResult(BaseModel):
    """Common to all tasks."""

    width: int = Field(ge=1, description="Of the upright image: EXIF orientation applied.")
    height: int = Field(ge=1, description="Of the upright image: EXIF orientation applied.")


class WholeImageResult(ImageResult):
    """What is said of an image as a whole."""

    novelty: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The share of the model's training photos that are more usual: if the request"
        " has `novelty`.",
    )


class DetectedImage(WholeImageResult):
    """The objects in one image."""

    detections: list[Detection] = Field(description="Best first.")


class ClassifiedImage(WholeImageResult):
    """What one image shows."""

    classifications: list[Classification] = Field(description="Best first.")


class ClassifiedRegion(BaseModel):
    """What one region of an image shows."""

    box: tuple[float, float, float, float] = Field(
        description="The region that was sent, as far as it lies within the image: left, top,"
        " right, bottom in pixels of the upright image."
    )
    classifications: list[Classification] = Field(description="Best first.")


class ClassifiedRegions(ImageResult):
    """What the regions of one image show."""

    regions: list[ClassifiedRegion] = Field(description="In the order that they were sent in.")


class Answer(BaseModel):
    """Common to all tasks."""

    model: ModelReference
    request_id: str = Field(description="As in the header X-Request-ID, and in the logs.")
    timing_ms: Timing


class DetectAnswer(Answer):
    """`results` are in the order of the images."""

    then: ModelReference | None = Field(
        None, description="The classifier of the detections, if the request has `then`."
    )
    results: list[DetectedImage | FailedImage]


class ClassifyAnswer(Answer):
    """`results` are in the order of the images."""

    results: list[ClassifiedImage | ClassifiedRegions | FailedImage]
