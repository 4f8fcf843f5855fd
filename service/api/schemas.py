"""The shapes of requests and answers, as the service's OpenAPI description shows them."""

from typing import Annotated, Any, ClassVar

from _bentoml_sdk.io_models import IODescriptor
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from service.parameters import ClassifyParameters, DetectParameters

ImageFile = Annotated[str, Field(json_schema_extra={"format": "binary"})]


class RawRequest(IODescriptor):
    """A BentoML input that hands the request itself to the API.

    BentoML's own inputs know one form of a request only, parse it on the event loop without a
    limit, and answer a fault in their own words. The fields of a subclass describe the form.
    """

    __root_input__: ClassVar[bool] = True  # the API takes the whole input as its one argument
    media_type: ClassVar[str] = "multipart/form-data"

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Any:
        return request


class DetectForm(DetectParameters, RawRequest):
    """A request to /v1/detect as a form; a raw image/* body or JSON will do as well."""

    images: list[ImageFile] = Field(description="One or more image files.")


class ClassifyForm(ClassifyParameters, RawRequest):
    """A request to /v1/classify as a form; a raw image/* body or JSON will do as well."""

    images: list[ImageFile] = Field(description="One or more image files.")


class InlineImage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    base64: str = Field(
        min_length=1,
        description="The file's bytes, or a data URI of them.",
        json_schema_extra={"format": "byte"},
    )


class ImageUrl(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        description="Where the operator allows it.", json_schema_extra={"format": "uri"}
    )


class ProblemDetails(BaseModel):
    """Of RFC 9457. Programs may rely on ``code``."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    retryable: bool = Field(description="Whether the same request may succeed later.")
    request_id: str


class ModelReference(BaseModel):
    name: str
    version: str
    sha256: str = Field(description="Of the graph that gave the answer.")


class Timing(BaseModel):
    """Milliseconds; each stage is that of the request's slowest image."""

    decode: float
    queue: float
    inference: float
    total: float


class Detection(BaseModel):
    box: tuple[float, float, float, float] = Field(
        description="Left, top, right, bottom in pixels of the upright image."
    )
    score: float = Field(ge=0, le=1)
    label: str
    label_id: int = Field(description="The data set's own id of the label.")


class Classification(BaseModel):
    label: str
    label_id: int
    score: float = Field(ge=0, le=1)


class ImageError(BaseModel):
    code: str
    detail: str
    retryable: bool


class FailedImage(BaseModel):
    """Stands in a bad image's place when others of the request are good."""

    error: ImageError


class DetectedImage(BaseModel):
    width: int = Field(description="Of the upright image: EXIF orientation applied.")
    height: int
    detections: list[Detection]


class ClassifiedImage(BaseModel):
    width: int
    height: int
    classifications: list[Classification] = Field(description="Best first.")


class DetectAnswer(BaseModel):
    """``results`` are in the order of the images."""

    model: ModelReference
    request_id: str
    results: list[DetectedImage | FailedImage]
    timing_ms: Timing


class ClassifyAnswer(BaseModel):
    """``results`` are in the order of the images."""

    model: ModelReference
    request_id: str
    results: list[ClassifiedImage | FailedImage]
    timing_ms: Timing
