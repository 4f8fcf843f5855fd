"""Settings of the service: environment variables that start with BOXPORT_, then the TOML file that
BOXPORT_SETTINGS_FILE names, then defaults."""

import os
import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as ParsingError

from service.cpus import available_cpus
from service.imaging.formats import FORMATS
from service.memory import available_memory
from service.places import check_network, check_origin, check_root_path

FILE_VARIABLE = "BOXPORT_SETTINGS_FILE"

# Of the memory that the service may take, what is not for bodies and decoding is for its models.
MAX_DEFAULT_BYTES, MAX_DEFAULT_DECODING = 512 * 2**20, 4 * 2**30

Source = Literal["environment", "file", "default"]


def _split_names(value: Any) -> Any:
    """Of a text, the names between its commas."""
    if not isinstance(value, str):
        return value
    return [stripped for name in value.split(",") if (stripped := name.strip())]


def _each(check: Callable[[str], str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    return lambda names: tuple(map(check, names))


def _default_store() -> Path:
    """Beside the code, whatever folder one is in; by its short name where that is the same."""
    store, here = Path(__file__).parents[1] / "model_store", Path("model_store")
    return here if here.resolve() == store.resolve() else store


def _default_bytes() -> int:
    return min(MAX_DEFAULT_BYTES, available_memory() // 8)


def _default_decoding(given: dict[str, Any]) -> int:
    if given["max_pixels_in_service"] is not None:
        from service.imaging.cost import worst_bytes  # Pillow: not what starts the workers needs

        return worst_bytes(given["max_pixels_in_service"], given["max_body_bytes"])
    return min(MAX_DEFAULT_DECODING, available_memory() // 2)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)]
Origins = Annotated[Names, AfterValidator(_each(check_origin))]
Networks = Annotated[Names, AfterValidator(_each(check_network))]
RootPath = Annotated[str, AfterValidator(check_root_path)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SettingsError(Exception):
    """A setting that cannot be used; the message names its variable, or its file and key."""


class ModelSettings(BaseModel):
    """How one model is run. What is not set follows from its execution provider."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    execution_providers: Names = Field(("cpu",), min_length=1)
    """What graphs run on, separated by commas: tensorrt, cuda, coreml, directml, cpu, openvino; or
    auto for the first of these that is there. The service does not start without one that is asked
    for."""
    runtime: Literal["onnxruntime", "openvino", "auto"] = "onnxruntime"
    """What runs graphs. openvino: on the CPU, where the package openvino is installed. auto:
    OpenVINO in bfloat16, for float32 models, where it and a processor for it are there and it is
    1.3 times as fast when the model is loaded; else ONNX Runtime."""
    precision: Literal["as_exported", "bf16"] = "as_exported"
    """What layers are computed in. bf16: bfloat16, 8 bits of precision in place of 24, by OpenVINO
    and processors with AVX-512 BF16 or AMX; of float32 models (docs/precision.md)."""
    provider_options: dict[str, str] = {}
    """ONNX Runtime's options of the first provider."""
    allow_fallback: bool = False
    """Whether a model may run on less than was asked for, down to the CPU."""
    max_batch_size: PositiveInt | None = None
    """Images that a model runs together. Default: 2 on CPU, 8 elsewhere: there larger ones gain."""
    concurrent_runs: PositiveInt | None = None
    """Batches of a model that run at once. Default: one per processor on CPU, which gives more
    images a second than several threads on one batch; 1 elsewhere."""
    threads: PositiveInt | None = None
    """Of each run on CPU. Default: 1."""
    latency_threads: PositiveInt | None = Field(
        None, validation_alias=AliasChoices("latency_threads", "lone_threads")
    )
    """Of a run on CPU while no other image is in service. Default: one per processor; by
    OpenVINO the same as threads, which saves the memory of a second session. Its former name,
    lone_threads, is still read."""
    decode_threads: NonNegativeInt | None = None
    """Photos that are decoded at once, before they are batched. With 0 each run decodes its own,
    without a change of threads: the default on CPU. Elsewhere: one per processor, so that the
    device gets full batches."""
    cuda_graphs: bool = False
    """Whether runs on cuda and tensorrt are recorded once for each batch size and replayed, which
    saves launching each layer. For classifiers: a detector's outputs vary in size."""


class Settings(ModelSettings, BaseSettings):
    """Each field is the variable BOXPORT_<FIELD IN CAPITALS>, or the key <field> of the file."""

    model_config = SettingsConfigDict(env_prefix="BOXPORT_", env_prefix_target="all", frozen=True)

    model_store: Path = Field(default_factory=_default_store)
    """Folder of <name>/<version>/. Default: model_store beside the service's code."""
    public_keys: Annotated[tuple[Path, ...], NoDecode] = ()
    """PEM files of ed25519 keys, separated by colons. If there are any, only packages that one of
    them has signed are served (`python -m export sign`)."""
    workers: PositiveInt | Literal["auto"] = 1
    """Processes, as one service (docs/scaling.md). One uses every processor, but answers at most
    about 1,500 photos a second; of several GPUs, one. auto: as many as are measured to be best."""
    worker_timeout_ms: PositiveInt = 4000
    """A worker whose event loop stands still for so long is killed."""
    on_worker_end: Literal["replace", "end"] = "replace"
    """When a worker dies or is killed. replace: another one is started. end: the others finish what
    they have and the service ends, for an orchestrator to start it again."""
    max_connections: PositiveInt = 4096
    """Open at once, of all workers; more get a 503."""
    max_address_connections: PositiveInt | None = None
    """Of one address, of which each worker grants its part; more get a 503. Default: no limit, for
    behind a proxy all have its address."""
    max_head_bytes: PositiveInt = 64 * 2**10
    """Of a request's line and headers."""
    head_timeout_ms: PositiveInt = 10_000
    """For a request's line and headers to arrive, once a connection is open or has sent some."""
    min_body_rate: NonNegativeInt = 1000
    """In bytes a second, over ten seconds; a body that comes more slowly gets a 408."""
    unread_timeout_ms: PositiveInt = 30_000
    """After so long a connection whose client takes nothing of a reply is closed."""
    keep_alive_timeout_ms: PositiveInt = 75_000
    """After so long without a request a connection is closed. It must be longer than a proxy in
    front keeps one: nginx, ingress-nginx and AWS's balancers 60 s, Google's 600 s."""
    max_body_bytes: PositiveInt = 64 * 2**20
    """Of a whole request."""
    max_images: PositiveInt = 32
    """Of one request."""
    max_regions: PositiveInt = 100
    """That are classified of one image; detections too, of a request with `then`."""
    max_request_regions: PositiveInt = 200
    """That are classified of all images of one request. Each counts as an image in service."""
    max_image_pixels: PositiveInt = 64_000_000
    """Width times height, read before anything is decoded."""
    max_images_in_service: PositiveInt = 256
    """Accepted and not yet answered, of all requests; more get a 503."""
    max_bytes_in_service: PositiveInt = Field(default_factory=_default_bytes)
    """Of the bodies, and of images by URL, of all requests not yet answered. Default: an eighth of
    the memory that the service may take, and at most 512 MiB."""
    max_pixels_in_service: PositiveInt | None = None
    """The former way to say max_decoding_bytes: so many pixels of the worst image."""
    max_decoding_bytes: PositiveInt = Field(default_factory=_default_decoding)
    """That photos take while they are decoded; more get a 503, and a photo that takes more alone is
    too large. A pixel takes 4 to 16 (docs/operations.md). Default: half of the memory that the
    service may take (its container's limit), and at most 4 GiB."""
    image_formats: Names = Field(FORMATS, min_length=1)
    """Of images that are read, separated by commas; HEIF too, where pillow-heif is installed."""
    decoding: Literal["auto", "isolated", "in_process"] = "auto"
    """Where images are decoded: isolated in processes that cannot reach anything and are killed at
    their image's deadline (Linux), or by the service's own threads. auto: isolated unless they are
    JPEGs of one scan or PNGs, of up to 16 megapixels; where it is not Linux, in_process."""
    reduce_jpegs: bool = True
    """Whether large JPEGs are decoded at a half, a quarter or an eighth of their size, as long as
    twice the pixels are left that the model reads: several times as fast for photos of phones, at
    the price of some thousandths of AP."""
    exact_resize: bool = False
    """Whether Pillow resizes photos, in five times the time, as public models expect it."""
    max_frames: PositiveInt = 1000
    """Of an animation, where its header states them. Only the first is decoded."""
    request_timeout_ms: PositiveInt = 30_000
    """How long a request may take that does not say so itself (X-Request-Timeout-Ms). What is late
    is dropped before it runs."""
    max_request_timeout_ms: PositiveInt = 60_000
    """The most a request gets."""
    default_models: Names = ()
    """Names of the models that answer requests which name none, of each task at most one, separated
    by commas. Default: the one with the highest accuracy in its manifest, COCO's AP or top-1; of
    those that were not measured the first by name."""
    models: dict[str, ModelSettings] = {}
    """Settings of single models, by name, in place of those for all: {"name": {"max_batch_size":
    8}}, or a table [models.name] in the file."""
    max_session_bytes: PositiveInt | None = None
    """Memory that the sessions of loaded models may take together, counted as half more than their
    graphs. The least recently used is evicted, and loaded again when it is asked for. Default: no
    limit."""
    keys_file: Path | None = None
    """Of API keys (`python -m service key`). Default: no key is needed, and nobody is an admin."""
    rate_limit: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Requests a second of each key that has no rate of its own, and of each address without a key.
    Default: no limit."""
    cors_origins: Origins = ()
    """Origins whose pages may call the service, separated by commas; * for all."""
    trusted_proxies: Networks = ()
    """Addresses and networks, separated by commas, of the proxies whose X-Forwarded-For and
    X-Forwarded-Proto tell who asks; rates and logs are then by caller. Default: those in uvicorn's
    FORWARDED_ALLOW_IPS, or none."""
    root_path: RootPath = ""
    """Path under which a proxy publishes the service, whether it strips it from what it forwards or
    not, such as /vision/detector (docs/proxy.md). Default: none."""
    playground: bool = True
    """Whether there is a page at /playground, where people can try a photo."""
    image_hosts: Names = ()
    """Of images by URL, such as img.example.org or *.example.org. Default: none."""
    image_networks: Names = ()
    """Private networks, such as 10.1.0.0/16, that such hosts may lie in. Default: none."""
    max_linked_image_bytes: PositiveInt = 20 * 2**20
    """Of one image by URL."""
    image_timeout_ms: PositiveInt = 10_000
    """For one image by URL, in all."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """auto: text on a terminal, JSON elsewhere."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Of what is logged."""
    access_log_sample: float = Field(0.1, ge=0, le=1)
    """Share of requests that are logged; failed and slow ones all are."""
    slow_request_ms: PositiveInt = 1000
    """From here on a request is slow."""
    watch_seconds: Seconds = 2.0
    """Between two looks at the model store for packages that came, changed or went; 0: never."""
    rollouts_file: Path | None = None
    """Of versions that are tried on live traffic (docs/rollout.md): read, and written where that is
    possible. Default: rollouts.json in the model store."""
    drain_seconds: Seconds = 0.0
    """How long the service goes on after SIGTERM, not ready but answering, so that load balancers
    notice. Requests in service are finished in any case."""
    grpc_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Of the Open Inference Protocol over gRPC, where the packages of the group grpc are installed
    (docs/protocols.md). Default: none."""
    gpus: PositiveInt = 1
    """GPUs; worker i has number i modulo so many."""

    @property
    def cpus(self) -> int:
        """Processors that this worker may use."""
        return available_cpus(workers=self.worker_count)

    @property
    def worker_count(self) -> int:
        """The workers; one where their number has yet to be measured (`service.sizing`)."""
        return 1 if self.workers == "auto" else self.workers

    def for_model(self, name: str) -> ModelSettings:
        """The settings that hold for the model called ``name``."""
        own = self.models.get(name)
        common = {field: getattr(self, field) for field in ModelSettings.model_fields}
        given = {field: getattr(own, field) for field in own.model_fields_set} if own else {}
        return ModelSettings.model_construct(**{**common, **given})

    @field_validator("public_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """An empty value is refused: where the variable is set, signatures are to be checked."""
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
        """The first that has a value wins, tables too, which pydantic-settings would merge."""
        given = {**_file_source(settings_cls)(), **env_settings(), **init_settings()}
        return (InitSettingsSource(settings_cls, given),)


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
    # `inner` leads to a value within it; the types of a union are no part of the way
    types = ("constrained-int", "literal['auto']")
    name, *inner = [part for part in map(str, error["loc"]) if part not in types]
    where = os.environ.get(FILE_VARIABLE)
    path = ".".join([name, *inner])
    if sources().get(name) != "file" and name in Settings.model_fields:
        where, path = f"BOXPORT_{name.upper()}", ".".join(inner)
    if error["type"] == "extra_forbidden":
        known = (ModelSettings if inner else Settings).model_fields
        close = get_close_matches((name, *inner)[-1], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        return f"{where}: {path} is no setting; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    if not path:
        return f"{where}={error['input']}: {message}"
    return f"{where}: {path} = {error['input']!r}: {message}"
