"""Settings of the service, from environment variables that start with BOXPORT_."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.cpus import available_cpus


class SettingsError(Exception):
    """A setting that cannot be used; the message names its variable."""


class Settings(BaseSettings):
    """Each field is the variable BOXPORT_<FIELD IN CAPITALS>."""

    model_config = SettingsConfigDict(env_prefix="BOXPORT_", frozen=True)

    model_store: Path = Field(Path("model_store"), description="Folder of <name>/<version>/.")
    public_keys: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="PEM files of ed25519 keys, with a colon between them. If any is named, only"
        " packages that one of them has signed are served (`python -m export sign`).",
    )
    max_body_bytes: int = Field(64 * 2**20, gt=0, description="Of a whole request.")
    max_images: int = Field(32, gt=0, description="Of one request.")
    max_image_pixels: int = Field(
        64_000_000, gt=0, description="Width times height, read before anything is decoded."
    )
    max_batch_size: int = Field(
        2,
        gt=0,
        description="Images that a model runs together. On CPU more take the same time each, and"
        " the memory of all at once.",
    )
    max_images_in_service: int = Field(
        256, gt=0, description="Accepted and not yet answered, of all requests; more get a 503."
    )
    concurrent_runs: int = Field(
        default_factory=available_cpus,
        gt=0,
        description="Batches that run at once, a thread each. On CPU that gives more images a"
        " second than several threads on one batch.",
    )
    decode_threads: int = Field(default_factory=available_cpus, gt=0)

    @field_validator("public_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """An empty value is refused: whoever set the variable wants signatures checked."""
        if not isinstance(value, str):
            return value
        if not all(value.split(os.pathsep)):
            raise ValueError("names no file; unset it to serve packages without a signature")
        return value.split(os.pathsep)


def read_settings() -> Settings:
    """The settings of this process; raises SettingsError on the first that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = f"BOXPORT_{first['loc'][0]}".upper()
        raise SettingsError(f"{variable}={first['input']}: {first['msg']}") from error
