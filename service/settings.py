"""Settings of the service: environment variables that start with BOXPORT_, then the TOML file that
BOXPORT_SETTINGS_FILE names, then defaults."""

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as ParsingError

from service.cpus import available_cpus
from service.imaging.formats import FORMATS

FILE_VARIABLE = "BOXPORT_SETTINGS_FILE"

Source = Literal["environment", "file", "default"]


def _split_names(value: Any) -> Any:
    """Of a text, the names between its commas; an empty one has none."""
    if not isinstance(value, str):
        return value
    return [name.strip() for name in value.split(",")] if value.strip() else []


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)]


class SettingsError(Exception):
    """A setting that cannot be used; the message names its variable, or its file and key."""


class ModelSettings(BaseModel):
    """How one model is run. What is not set follows from its execution provider."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    execution_providers: Names = Field(
        ("cpu",),
        min_length=1,
        description="What to run graphs on, with a comma between them: tensorrt, cuda, openvino,"
        " coreml, directml, cpu; or auto for the first of these that is there. What is asked for"
        " and not there refuses the start.",
    )
    provider_options: dict[str, str] = Field(
        default_factory=dict, description="ONNX Runtime's options of the first provider."
    )
    allow_fallback: bool = Field(
        False, description="Whether a model may run on less than was asked for, down to the CPU."
    )
    max_batch_size: int | None = Field(
        None,
        gt=0,
        description="Images that a model runs together. Default: 2 on CPU, where more take the"
        " same time each, and the memory of all at once; 8 elsewhere.",
    )
    concurrent_runs: int | None = Field(
        None,
        gt=0,
        description="Batches of a model that run at once. Default: one a processor on CPU, which"
        " gives more images a second than several threads on one batch; 1 elsewhere.",
    )
    threads: int | None = Field(None, gt=0, description="Of each run on CPU. Default: 1.")
    latency_threads: int | None = Field(
        None,
        gt=0,
        validation_alias=AliasChoices("latency_threads", "lone_threads"),  # its former name
        description="Of a run on CPU while no other image is in service. Default: one a processor;"
        " the same as threads spares the memory of a second session.",
    )
    decode_threads: int | None = Field(
        None,
        ge=0,
        description="Photos that are decoded at once, before they are batched. With 0 each run"
        " decodes its own, which is the default on CPU: a processor goes from one to the other"
        " without a word to anybody. Elsewhere: one a processor, so that the device has a batch.",
    )
    cuda_graphs: bool = Field(
        False,
        description="Whether runs on cuda and tensorrt are recorded once for each batch size and"
        " replayed, which spares the starting of each layer. For classifiers: a detector's outputs"
        " vary in size.",
    )


class Settings(ModelSettings, BaseSettings):
    """Each field is the variable BOXPORT_<FIELD IN CAPITALS>, or the key <field> of the file."""

    model_config = SettingsConfigDict(env_prefix="BOXPORT_", env_prefix_target="all", frozen=True)

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
    max_images_in_service: int = Field(
        256, gt=0, description="Accepted and not yet answered, of all requests; more get a 503."
    )
    max_bytes_in_service: int = Field(
        512 * 2**20, gt=0, description="Of the bodies of all requests not yet answered."
    )
    max_pixels_in_service: int = Field(
        256_000_000,
        gt=0,
        description="Of photos that are being decoded at once; more get a 503. A pixel takes three"
        " bytes, and up to fifteen while transparency is laid over white.",
    )
    image_formats: Names = Field(
        FORMATS,
        min_length=1,
        description="Of images that are read, with a comma between them. HEIF as well, where the"
        " package pillow-heif is installed.",
    )
    reduce_jpegs: bool = Field(
        True,
        description="Whether large JPEGs are decoded at a half, a quarter or an eighth of their"
        " size, as long as twice the pixels are left that the model reads: several times as fast"
        " for photos of phones, at the price of some thousandths of AP.",
    )
    exact_resize: bool = Field(
        False,
        description="Whether photos are resized by Pillow, in five times the time, for values that"
        " are rounded as the public implementations of the models round them.",
    )
    max_frames: int = Field(
        1000,
        gt=0,
        description="Of an animation, where its header states them. Only the first is decoded.",
    )
    request_timeout_ms: int = Field(
        30_000,
        gt=0,
        description="How long a request may take that does not say so itself"
        " (X-Request-Timeout-Ms). What is late is dropped before it runs.",
    )
    max_request_timeout_ms: int = Field(60_000, gt=0, description="The most a request gets.")
    models: dict[str, ModelSettings] = Field(
        default_factory=dict,
        description="Settings of single models, by name, in place of those for all:"
        ' {"name": {"max_batch_size": 8}}, or a table [models.name] in the file.',
    )
    max_session_bytes: int | None = Field(
        None,
        gt=0,
        description="Memory that the sessions of loaded models may take together. The least"
        " recently used is evicted, and loaded again when it is asked for. Default: no limit.",
    )
    keys_file: Path | None = Field(
        None,
        description="Of API keys (`python -m service key`). Default: nobody needs one, and models"
        " cannot be unloaded or pinned.",
    )
    rate_limit: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Requests a second of each key that has no rate of its own, and of each"
        " address without a key; counted by each worker. Default: no limit.",
    )
    cors_origins: Names = Field(
        (), description="Origins whose pages may call the service, with a comma between; * for all."
    )
    playground: bool = Field(
        True, description="Whether people get a page at /playground, where they can try a photo."
    )
    image_hosts: Names = Field(
        (),
        description="Hosts that images may be fetched from by URL, such as img.example.org or"
        " *.example.org. Default: none.",
    )
    image_networks: Names = Field(
        (),
        description="Private networks, such as 10.1.0.0/16, that such hosts may lie in. Default:"
        " none.",
    )
    max_linked_image_bytes: int = Field(20 * 2**20, gt=0, description="Of one image by URL.")
    image_timeout_ms: int = Field(10_000, gt=0, description="For one image by URL, in all.")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto: text on a terminal, JSON elsewhere."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Of what is logged."
    )
    access_log_sample: float = Field(
        0.1, ge=0, le=1, description="Share of requests that are logged; failed and slow ones are."
    )
    slow_request_ms: int = Field(1000, gt=0, description="From here on a request is slow.")
    watch_seconds: float = Field(
        2.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds between two looks at the model store for packages that came, changed"
        " or went. 0: never.",
    )
    drain_seconds: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="How long the service goes on after SIGTERM, not ready but answering, so that"
        " load balancers notice. Requests in service are finished in any case.",
    )
    workers: int = Field(
        1,
        gt=0,
        description="Processes, each with models of its own. On CPU one uses every processor; on"
        " several GPUs take one worker for each.",
    )
    gpus: int = Field(1, gt=0, description="GPUs; worker i has number i modulo so many.")

    @property
    def cpus(self) -> int:
        """Processors that the service may use."""
        return available_cpus()

    def for_model(self, name: str) -> ModelSettings:
        """The settings that hold for the model called ``name``."""
        own = self.models.get(name)
        common = {field: getattr(self, field) for field in ModelSettings.model_fields}
        given = {field: getattr(own, field) for field in own.model_fields_set} if own else {}
        return ModelSettings.model_construct(**{**common, **given})

    @field_validator("public_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """An empty value is refused: whoever set the variable wants signatures checked."""
        if not isinstance(value, str):
            return value
        if not all(value.split(os.pathsep)):
            raise ValueError("names no file; unset it to serve packages without a signature")
        return value.split(os.pathsep)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first that has a value wins."""
        return init_settings, env_settings, _file_source(settings_cls)


def read_settings() -> Settings:
    """The settings of this process; raises SettingsError on the first that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(_explain(error.errors()[0])) from error
    except ParsingError as error:  # a variable that is to be JSON
        raise SettingsError(f"the environment: {error}: {error.__cause__}") from error


def sources() -> dict[str, Source]:
    """Where the value of each field of `Settings` comes from; raises SettingsError on a file that
    cannot be read."""
    in_environment, in_file = EnvSettingsSource(Settings)(), _file_source(Settings)()
    return {
        name: "environment" if name in in_environment else "file" if name in in_file else "default"
        for name in Settings.model_fields
    }


def _file_source(settings_cls: type[BaseSettings]) -> TomlConfigSettingsSource:
    """What is in the settings file; nothing if none is named. pydantic-settings passes over a file
    that is missing; here it is an error, for whoever named it wants it read."""
    name = os.environ.get(FILE_VARIABLE)
    if name is not None and not Path(name).is_file():
        raise SettingsError(f"{FILE_VARIABLE}={name}: there is no such file")
    try:
        return TomlConfigSettingsSource(settings_cls, None if name is None else Path(name))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{name}: {error}") from error


def _explain(error: ErrorDetails) -> str:
    name, *inner = map(str, error["loc"])  # `inner` leads to a value within it
    where = os.environ.get(FILE_VARIABLE)
    path = ".".join([name, *inner])
    if sources().get(name) != "file" and name in Settings.model_fields:
        where, path = f"BOXPORT_{name.upper()}", ".".join(inner)
    if error["type"] == "extra_forbidden":
        known = (ModelSettings if inner else Settings).model_fields
        close = get_close_matches((name, *inner)[-1], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        return f"{where}: {path} is no setting; {hint}"
    if not path:
        return f"{where}={error['input']}: {error['msg']}"
    return f"{where}: {path} = {error['input']!r}: {error['msg']}"
