"""`python -m models.zoo`: the official public checkpoints of our variants, listed and fetched.

`list` shows the table below; `download NAME` fetches one file, goes on where an interrupted
download stopped, and checks it against the hash in its name.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

import httpx
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

Metric = Literal["AP", "top-1"]
OnProgress = Callable[[int, int | None], None]

TORCHVISION = "https://download.pytorch.org/models/"
TIMM = "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights/"
EFFDET = "https://github.com/rwightman/efficientdet-pytorch/releases/download/v0.1/"
TIMEOUT = httpx.Timeout(30.0, connect=10.0)  # seconds; of each read, not of the whole file


class ZooError(Exception):
    """A checkpoint that could not be had; the message is one line and says what to do."""


@dataclass(frozen=True)
class ZooEntry:
    """A row: one public checkpoint, and what its publisher says of it.

    variant: the row of models/variants.py whose network it fits.
    sha256_prefix: start of the file's SHA-256 in hexadecimal, or None where none is published.
    metric, value: "AP" is COCO's box AP at IoU .50:.95, "top-1" the accuracy; in percent.
    data: what it was trained on, and on whose validation photos ``value`` was measured.
    """

    variant: str
    url: str
    sha256_prefix: str | None
    metric: Metric
    value: float
    data: str
    licence: str

    @property
    def file(self) -> str:
        """The file's official name."""
        return self.url.rsplit("/", 1)[-1]


def _classifiers(base: str, licence: str, *rows: tuple[str, str, float]) -> tuple[ZooEntry, ...]:
    return tuple(_entry(base, licence, "top-1", "ImageNet-1k", *row) for row in rows)


def _detectors(base: str, licence: str, *rows: tuple[str, str, float]) -> tuple[ZooEntry, ...]:
    return tuple(_entry(base, licence, "AP", "COCO 2017", *row) for row in rows)


def _entry(
    base: str, licence: str, metric: Metric, data: str, variant: str, file: str, value: float
) -> ZooEntry:
    named = re.search(r"-([0-9a-f]{8})\.pth$", file)
    return ZooEntry(variant, base + file, named[1] if named else None, metric, value, data, licence)


# A row is the variant, its file, and the figure in percent.
ENTRIES: tuple[ZooEntry, ...] = (
    # ResNet: IMAGENET1K_V1 of torchvision 0.28's models/resnet.py, its `acc@1`.
    *_classifiers(
        TORCHVISION,
        "BSD-3-Clause",
        ("resnet18", "resnet18-f37072fd.pth", 69.758),
        ("resnet34", "resnet34-b627a593.pth", 73.314),
        ("resnet50", "resnet50-0676ba61.pth", 76.130),
        ("resnet101", "resnet101-63fe2227.pth", 77.374),
        ("resnet152", "resnet152-394f9c45.pth", 78.312),
    ),
    # VGG: IMAGENET1K_V1 of torchvision 0.28's models/vgg.py.
    *_classifiers(
        TORCHVISION,
        "BSD-3-Clause",
        ("vgg11", "vgg11-8a719046.pth", 69.020),
        ("vgg13", "vgg13-19584684.pth", 69.928),
        ("vgg16", "vgg16-397923af.pth", 71.592),
        ("vgg19", "vgg19-dcbb9e9d.pth", 72.376),
        ("vgg11_bn", "vgg11_bn-6002323d.pth", 70.370),
        ("vgg13_bn", "vgg13_bn-abd245e5.pth", 71.586),
        ("vgg16_bn", "vgg16_bn-6c64b313.pth", 73.360),
        ("vgg19_bn", "vgg19_bn-c79401a0.pth", 74.218),
    ),
    # EfficientNet: IMAGENET1K_V1 of torchvision 0.28's models/efficientnet.py.
    *_classifiers(
        TORCHVISION,
        "BSD-3-Clause",
        ("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth", 77.692),
        ("efficientnet_b1", "efficientnet_b1_rwightman-bac287d4.pth", 78.642),
        ("efficientnet_b2", "efficientnet_b2_rwightman-c35c1473.pth", 80.608),
        ("efficientnet_b3", "efficientnet_b3_rwightman-b3899882.pth", 82.008),
        ("efficientnet_b4", "efficientnet_b4_rwightman-23ab8bcd.pth", 83.384),
        ("efficientnet_b5", "efficientnet_b5_lukemelas-1a07897c.pth", 83.444),
        ("efficientnet_b6", "efficientnet_b6_lukemelas-24a108a5.pth", 84.008),
        ("efficientnet_b7", "efficientnet_b7_lukemelas-c5b4e57e.pth", 84.122),
    ),
    # EfficientNet with TensorFlow's padding: the `aa_in1k` (AutoAugment) rows of timm 1.0's
    # models/efficientnet.py; top-1 from its results/results-imagenet.csv at commit 0173a139.
    *_classifiers(
        TIMM,
        "Apache-2.0",
        ("tf_efficientnet_b0", "tf_efficientnet_b0_aa-827b6e33.pth", 76.834),
        ("tf_efficientnet_b1", "tf_efficientnet_b1_aa-ea7a6ee0.pth", 78.830),
        ("tf_efficientnet_b2", "tf_efficientnet_b2_aa-60c94f97.pth", 80.084),
        ("tf_efficientnet_b3", "tf_efficientnet_b3_aa-84b4657e.pth", 81.644),
        ("tf_efficientnet_b4", "tf_efficientnet_b4_aa-818f208c.pth", 83.018),
        ("tf_efficientnet_b5", "tf_efficientnet_b5_aa-99018a74.pth", 83.688),
        ("tf_efficientnet_b6", "tf_efficientnet_b6_aa-80ba17e4.pth", 84.116),
        ("tf_efficientnet_b7", "tf_efficientnet_b7_aa-076e3472.pth", 84.414),
    ),
    # EfficientNet-Lite: timm's `tf_efficientnet_lite*.in1k`, figures as above.
    *_classifiers(
        TIMM,
        "Apache-2.0",
        ("efficientnet_lite0", "tf_efficientnet_lite0-0aa007d2.pth", 74.830),
        ("efficientnet_lite1", "tf_efficientnet_lite1-bde8b488.pth", 76.644),
        ("efficientnet_lite2", "tf_efficientnet_lite2-dcccb7df.pth", 77.464),
        ("efficientnet_lite3", "tf_efficientnet_lite3-b733e338.pth", 79.808),
        ("efficientnet_lite4", "tf_efficientnet_lite4-741542c3.pth", 81.532),
    ),
    # RetinaNet and Faster R-CNN: COCO_V1 of torchvision 0.28's models/detection, `box_map`.
    *_detectors(
        TORCHVISION,
        "BSD-3-Clause",
        ("retinanet_resnet50_fpn", "retinanet_resnet50_fpn_coco-eeacb38b.pth", 36.4),
        ("retinanet_resnet50_fpn_v2", "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth", 41.5),
        ("fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", 37.0),
    ),
    # EfficientDet: effdet 0.4.1's config/model_config.py; AP from its README, the column
    # "mAP (val2017)". The first group is converted from Google's, the second trained by effdet,
    # which has published no d2 to d5 of its own.
    *_detectors(
        EFFDET,
        "Apache-2.0",
        ("tf_efficientdet_d0", "tf_efficientdet_d0_34-f153e0cf.pth", 34.2),
        ("tf_efficientdet_d1", "tf_efficientdet_d1_40-a30f94af.pth", 40.1),
        ("tf_efficientdet_d2", "tf_efficientdet_d2_43-8107aa99.pth", 43.4),
        ("tf_efficientdet_d3", "tf_efficientdet_d3_47-0b525f35.pth", 47.1),
        ("tf_efficientdet_d4", "tf_efficientdet_d4_49-f56376d9.pth", 49.2),
        ("tf_efficientdet_d5", "tf_efficientdet_d5_51-c79f9be6.pth", 51.2),
        ("tf_efficientdet_d6", "tf_efficientdet_d6_52-4eda3773.pth", 52.0),
        ("tf_efficientdet_d7", "tf_efficientdet_d7_53-6d1d7a95.pth", 53.1),
        ("tf_efficientdet_d7x", "tf_efficientdet_d7x-f390b87c.pth", 54.3),
    ),
    *_detectors(
        EFFDET,
        "Apache-2.0",
        ("efficientdet_d0", "efficientdet_d0-f3276ba8.pth", 33.6),
        ("efficientdet_d1", "efficientdet_d1-bb7e98fe.pth", 39.4),
    ),
    # EfficientDet-Lite: the same sources.
    *_detectors(
        EFFDET,
        "Apache-2.0",
        ("efficientdet_lite0", "tf_efficientdet_lite0-dfacfc78.pth", 27.1),
        ("efficientdet_lite1", "tf_efficientdet_lite1-6dc7ab30.pth", 32.2),
        ("efficientdet_lite2", "tf_efficientdet_lite2-86c5d55b.pth", 35.9),
        ("efficientdet_lite3", "tf_efficientdet_lite3-506852cb.pth", 39.6),
        ("efficientdet_lite3x", "tf_efficientdet_lite3x-8404c57b.pth", 43.6),
        ("efficientdet_lite4", "tf_efficientdet_lite4-391ddabc.pth", 44.2),
    ),
)

ZOO: dict[str, ZooEntry] = {entry.variant: entry for entry in ENTRIES}


def find(name: str) -> ZooEntry:
    """The row of ``name``; ZooError, with the names most like it, where there is none."""
    if name in ZOO:
        return ZOO[name]
    close = get_close_matches(name, ZOO)
    hint = f"did you mean {' or '.join(close)}?" if close else "`python -m models.zoo list` has all"
    raise ZooError(f"no public checkpoint is named {name!r}; {hint}")


def download(
    entry: ZooEntry, folder: Path, on_progress: OnProgress = lambda done, total: None
) -> Path:
    """Fetch ``entry``'s file into ``folder``, unless it is there already, and return its path.

    on_progress: called with the bytes that are here, those of earlier runs included, and the
        size of the whole file, None where the server does not say.

    Raises ZooError. What arrived before a connection broke stays for the next call to go on from.
    """
    path = folder / entry.file
    partial = _Partial(path.with_name(f"{path.name}.partial"))
    try:
        if path.exists():
            _check_existing(entry, path)
            return path
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(entry.url, partial, on_progress)
        _check_fetched(entry, partial)
        partial.path.replace(path)
        partial.remove()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        resumable = partial.size and partial.version
        kept = f" ({partial.size:,} bytes kept to go on from)" if resumable else ""
        raise ZooError(
            f"cannot reach {entry.url}: {_reason(error)}{kept};"
            f" download it elsewhere and put it at {path}"
        ) from error
    except OSError as error:
        raise ZooError(f"{error.filename or path}: {error.strerror or error}") from error
    return path


@dataclass(frozen=True)
class _Partial:
    """The part of a remote file that is here, and beside it the version that it is a part of."""

    path: Path

    @property
    def _version_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.version")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> str:
        """What `_version` gave; empty where nothing is known."""
        return self._version_path.read_text() if self._version_path.is_file() else ""

    def begin(self, version: str) -> None:
        """Forget what is here; what is appended from now on belongs to ``version``."""
        self.path.write_bytes(b"")  # first, so that no old bytes ever stand under a new version
        self._version_path.write_text(version)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._version_path.unlink(missing_ok=True)


def _fetch(url: str, partial: _Partial, on_progress: OnProgress) -> None:
    """Make ``partial`` whole, from where it stands if the server lets us."""
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client:
        if not _receive(client, url, partial, on_progress):
            partial.remove()
            _receive(client, url, partial, on_progress)


def _receive(client: httpx.Client, url: str, partial: _Partial, on_progress: OnProgress) -> bool:
    """One request. False where its answer does not continue ``partial``, which is then as it was.

    Only a first request can be answered so: without a part there is nothing to continue.
    """
    headers = {"Accept-Encoding": "identity"}  # a range counts the bytes of the file itself
    resuming = bool(partial.size and partial.version)
    if resuming:
        headers |= {"Range": f"bytes={partial.size}-", "If-Range": partial.version}
    with client.stream("GET", url, headers=headers) as response:
        start, total = _content_range(response)
        # a server may ignore If-Range, and send the rest of a file that is not ours
        ours = _version(response) in ("", partial.version)
        if resuming and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return ours and total == partial.size  # nothing is missing
        response.raise_for_status()
        if resuming and response.status_code == httpx.codes.PARTIAL_CONTENT:
            if not (ours and start == partial.size):
                return False
        else:
            partial.begin(_version(response))
            total = _content_length(response)
        done = partial.size
        on_progress(done, total)
        with partial.path.open("ab") as file:
            for chunk in response.iter_raw():
                done += file.write(chunk)
                on_progress(done, total)
    return True


def _version(response: httpx.Response) -> str:
    """What tells this content from a later one at the same URL; empty where the server is silent.

    A weak ETag says nothing of bytes, and RFC 9110 (13.1.5) forbids it in If-Range.
    """
    etag: str = response.headers.get("ETag", "")
    modified: str = response.headers.get("Last-Modified", "")
    return etag if etag.startswith('"') else modified


def _content_range(response: httpx.Response) -> tuple[int | None, int | None]:
    """First byte and whole size, from `bytes 5-9/10` or `bytes */10`; None for what is not said."""
    header = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", header)
    start, total = match.groups() if match else (None, None)
    return (int(start) if start else None, int(total) if total else None)


def _content_length(response: httpx.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _check_existing(entry: ZooEntry, path: Path) -> None:
    """A file under the official name may have been put there by hand, so it is not overwritten."""
    expected, got = entry.sha256_prefix, _sha256(path)
    if expected is not None and not got.startswith(expected):
        raise ZooError(
            f"{path} is there, but with a wrong sha256: expected {expected}…,"
            f" got {got[: len(expected)]}…; move it away to download it anew"
        )


def _check_fetched(entry: ZooEntry, partial: _Partial) -> None:
    expected, got = entry.sha256_prefix, _sha256(partial.path)
    if expected is not None and not got.startswith(expected):
        partial.remove()
        raise ZooError(
            f"{entry.url} came with a wrong sha256 and was deleted:"
            f" expected {expected}…, got {got[: len(expected)]}…"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """One line of why."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code} {error.response.reason_phrase}".rstrip()
    return str(error).partition("\n")[0] or type(error).__name__


console = Console(stderr=True)


app = typer.Typer(add_completion=False, no_args_is_help=True, help="Public checkpoints.")


@app.command("list")
def list_command(
    text: Annotated[
        str, typer.Argument(help="Show only variants with this in their name.", show_default=False)
    ] = "",
) -> None:
    """List the public checkpoints."""
    entries = [entry for entry in ENTRIES if text.lower() in entry.variant]
    if not entries:
        raise _failure(f"no public checkpoint has {text!r} in its name")
    table = Table("variant", "trained on", "figure", "licence", "file", box=box.SIMPLE_HEAD)
    for entry in entries:
        figure = f"{entry.metric} {entry.value:.1f}"
        table.add_row(entry.variant, entry.data, figure, entry.licence, entry.file)
    out = Console()
    if not out.is_terminal:
        out.width = 200  # a pipe has no width, and its reader wants whole names
    out.print(table)


@app.command("download")
def download_command(
    name: Annotated[str, typer.Argument(help="A variant of the list.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Folder for the file.", file_okay=False)] = Path(
        "checkpoints"
    ),
) -> None:
    """Download a public checkpoint; after an interruption, run it again to go on."""
    try:
        entry = find(name)
        with progress_bar() as progress:
            task = progress.add_task(entry.file, total=None)
            path = download(
                entry,
                output,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
    except ZooError as error:
        raise _failure(str(error)) from error
    console.print(f"{path}: {entry.licence}", highlight=False, markup=False, soft_wrap=True)


def progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _failure(message: str) -> typer.Exit:
    """Say why on standard error, in one line however long."""
    console.print(f"[red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(1)


if __name__ == "__main__":
    app()
