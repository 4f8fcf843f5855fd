"""Settings of the service, from environment variables that start with BOXPORT_."""

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.cpus import available_cpus


class SettingsError(Exception):
    """A setting that cannot be used; the message names its variable."""


class Settings(BaseSettings):
    """Each field is the variable BOXPORT_<FIELD IN CAPITALS>."""

    model_config = SettingsConfigDict(env_prefix="BOXPORT_", frozen=True)

    model_store: Path = Field(Path("model_store"), description="Folder of <name>/<version>/.")
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


def read_settings() -> Settings:
    """The settings of this process; raises SettingsError on the first that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = f"BOXPORT_{first['loc'][0]}".upper()
        raise SettingsError(f"{variable}={first['input']}: {first['msg']}") from error
