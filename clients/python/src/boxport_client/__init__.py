"""The client of a Boxport service: a photo in, typed detections out.

Everything to import is here; modules whose name begins with an underscore are private.
"""

from boxport_client._async_client import AsyncClient
from boxport_client._boxes import Box
from boxport_client._classifications import Classification, Region
from boxport_client._client import Client
from boxport_client._coco import coco_dataset
from boxport_client._detections import Detection
from boxport_client._errors import (
    ApiError,
    BoxportError,
    ClientClosed,
    ConnectionFailed,
    InvalidRequest,
    JournalError,
    MissingExtra,
    Overloaded,
    PhotoError,
    RateLimited,
    RequestTimedOut,
    ServerError,
    Unauthorized,
)
from boxport_client._folder import FolderPhotos, photos_in
from boxport_client._many import Outcome
from boxport_client._model_info import Health, ModelInfo
from boxport_client._models import AsyncModels, Models
from boxport_client._photos import Photo
from boxport_client._results import (
    ClassificationResult,
    DetectionResult,
    ModelReference,
)
from boxport_client._rollout import Interval, Rollout
from boxport_client._version import __version__
from boxport_client._video import VideoFrame

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncModels",
    "Box",
    "BoxportError",
    "Classification",
    "ClassificationResult",
    "Client",
    "ClientClosed",
    "ConnectionFailed",
    "Detection",
    "DetectionResult",
    "FolderPhotos",
    "Health",
    "Interval",
    "InvalidRequest",
    "JournalError",
    "MissingExtra",
    "ModelInfo",
    "ModelReference",
    "Models",
    "Outcome",
    "Overloaded",
    "Photo",
    "PhotoError",
    "RateLimited",
    "Region",
    "RequestTimedOut",
    "Rollout",
    "ServerError",
    "Unauthorized",
    "VideoFrame",
    "__version__",
    "coco_dataset",
    "photos_in",
]

for _name in __all__:  # tracebacks name errors as they are imported
    _value = globals()[_name]
    if isinstance(_value, type) and issubclass(_value, BoxportError):
        _value.__module__ = __name__
