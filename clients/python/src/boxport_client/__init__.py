"""Ask a Boxport service what is in a photo."""

from boxport_client.async_client import AsyncClient
from boxport_client.client import Client
from boxport_client.errors import (
    ApiError,
    BoxportError,
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
from boxport_client.health import Health
from boxport_client.many import Outcome
from boxport_client.photos import Photo
from boxport_client.results import (
    Box,
    Classification,
    ClassificationResult,
    Detection,
    DetectionResult,
    ModelInfo,
    ModelReference,
)
from boxport_client.version import __version__
from boxport_client.video_frame import VideoFrame

__all__ = [
    "ApiError",
    "AsyncClient",
    "Box",
    "BoxportError",
    "Classification",
    "ClassificationResult",
    "Client",
    "ConnectionFailed",
    "Detection",
    "DetectionResult",
    "Health",
    "InvalidRequest",
    "JournalError",
    "MissingExtra",
    "ModelInfo",
    "ModelReference",
    "Outcome",
    "Overloaded",
    "Photo",
    "PhotoError",
    "RateLimited",
    "RequestTimedOut",
    "ServerError",
    "Unauthorized",
    "VideoFrame",
    "__version__",
]
