"""Runs the steps of a Dockerfile without a container engine: RUN in a chroot, COPY by copying.

It knows the instructions that ours has. Stages that the last one does not need are left out, as
BuildKit does.
"""

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from string import Template

from dockerfile_parse import DockerfileParser
from pathspec import PathSpec

from tests.deploy.container.chroot import PATH, Container, network_environment

Step = tuple[str, str]  # an instruction and its value


@dataclass(frozen=True)
class Image:
    """The result of the steps: a root folder and how commands are run there.

    arguments: the ARGs of this stage, which a container does not see.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    command: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()

    def container(self, volume: Path | None = None, **environment: str) -> Container:
        """A container of this image, with ``environment`` added."""
        return Container(self.root, self.environment | environment, self.user, self.folder, volume)


class Build:
    """One build of ``dockerfile`` from the folder ``context``, with ``arguments`` for its ARGs.

    into: an empty folder for the roots of the stages.
    dry: whether RUN and COPY --from are passed over.
    """

    def __init__(
        self, dockerfile: Path, context: Path, into: Path, dry: bool = False, **arguments: str
    ) -> None:
        self.context, self.into, self.dry = context, into, dry
        ignore = dockerfile.with_name(f"{dockerfile.name}.dockerignore").read_text()
        self.ignored = PathSpec.from_lines("gitwildmatch", ignore.splitlines())
        self.arguments = arguments
        self.bases: dict[str, str] = {}
        self.steps: dict[str, list[Step]] = {}
        self.images: dict[str, Image] = {}
        with dockerfile.open("rb") as content:
            for step in DockerfileParser(fileobj=content).structure:
                self._sort(step["instruction"], step["value"])

    def run(self) -> Image:
        """Do the steps; the image of the last stage."""
        return self._image([*self.steps][-1])

    def _sort(self, instruction: str, value: str) -> None:
        """Put a step into its stage; an ARG before the first stage sets defaults."""
        if instruction == "FROM":
            base, *name = Template(value).substitute(self.arguments).split()
            self.stage = name[-1] if name else "last"
            self.bases[self.stage], self.steps[self.stage] = base, []
        elif instruction == "ARG" and not self.steps:
            name, _, default = value.partition("=")
            self.arguments.setdefault(name, default)
        elif instruction != "COMMENT":
            self.steps[self.stage].append((instruction, value))

    def _image(self, stage: str) -> Image:
        if stage not in self.images:
            image = self._start(self.bases[stage], self.into / stage)
            for step in self.steps[stage]:
                image = self._take(image, *step)
            self.images[stage] = image
        return self.images[stage]

    def _start(self, base: str, root: Path) -> Image:
        if base in self.steps:
            image = self._image(base)
            subprocess.run(["cp", "-a", image.root, root], check=True)
            return replace(image, root=root, arguments={})
        for folder in ("tmp", "var/lib", "opt", "root"):
            (root / folder).mkdir(parents=True)
        return Image(root)

    def _take(self, image: Image, instruction: str, value: str) -> Image:
        """One step on ``image``."""
        if instruction not in ("RUN", "CMD", "HEALTHCHECK"):  # a shell expands those, or nobody
            value = self._expand(image, value)
        match instruction:
            case "ARG":
                name, _, default = value.partition("=")
                given = self.arguments.get(name, default)
                return replace(image, arguments=image.arguments | {name: given})
            case "ENV":
                added = dict(pair.split("=", 1) for pair in shlex.split(value))
                return replace(image, environment=image.environment | added)
            case "WORKDIR":
                (image.root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
                return replace(image, folder=value)
            case "USER":
                return replace(image, user=value)
            case "VOLUME":
                return replace(image, volumes=(*image.volumes, value))
            case "CMD":
                return replace(image, command=tuple(json.loads(value)))
            case "HEALTHCHECK":
                return replace(image, health=tuple(json.loads(value.partition("CMD")[2])))
            case "COPY":
                self._copy(image, shlex.split(value))
            case "RUN":
                self._run(image, value)
            case "LABEL" | "EXPOSE":
                pass
            case _:
                raise ValueError(f"{instruction}: these tests cannot follow it; teach them")
        return image

    def _expand(self, image: Image, value: str) -> str:
        return Template(value).safe_substitute(image.environment | image.arguments)

    def _run(self, image: Image, command: str) -> None:
        if self.dry:
            return
        variables = image.environment | image.arguments | network_environment()
        container = replace(image.container(), environment=variables)
        subprocess.run(container.command(["sh", "-c", command]), check=True)

    def _copy(self, image: Image, words: list[str]) -> None:
        *sources, to = words
        target = image.root / PurePosixPath(image.folder, to).relative_to("/")
        if sources[0].startswith("--from="):
            if not self.dry:
                stage, source = sources[0].removeprefix("--from="), sources[1]
                whole = self._image(stage).root / PurePosixPath(source).relative_to("/")
                subprocess.run(["cp", "-a", whole, target], check=True)
            return
        for source in sources:
            files = self._files(source)
            if not files:
                raise FileNotFoundError(f"COPY {source}: the context has no such file")
            for file in files:
                inner = file.relative_to(self.context / source)
                name = file.name if to.endswith("/") else ""
                place = target / (inner if inner.parts else name)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, place)

    def _files(self, source: str) -> list[Path]:
        path = self.context / source
        files = path.rglob("*") if path.is_dir() else [path]
        return [
            file
            for file in files
            if file.is_file() and not self.ignored.match_file(file.relative_to(self.context))
        ]
