"""The image, built by the distribution's Buildah and run by its Podman; takes root.

Images and containers lie in a folder of the tests, and nothing of the machine's own is touched. The
base image comes from its registry, or where none is reached from Debian's packages.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.container.serving import serving
from tests.e2e.server import Server, free_port
from tests.paths import ROOT

BASE = "docker.io/library/python:3.11-slim-bookworm"
DEBIAN = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PULL_SECONDS = 120
# What Kubernetes' restricted profile asks for, and no way to write but the volume.
LOCKED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


@dataclass(frozen=True)
class Engine:
    """Buildah and Podman with a storage of their own in ``folder``."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> "Engine":
        """One that has the base image."""
        engine = cls(folder)
        for driver in ("overlay", "vfs"):  # the first is faster, but not every file system has it
            engine._configure(driver)
            if engine._try("podman", "info"):
                break
        if not engine._try("podman", "pull", "--quiet", BASE, seconds=PULL_SECONDS):
            engine._make_base()
        return engine

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
        }

    def call(self, *command: str | Path) -> str:
        """What a command prints; fails with the end of it if the command does."""
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    def build(self, tag: str, variant: str) -> None:
        """As docs/container.md says, and without another look for the base."""
        own = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.exists() else []
        self.call(
            *("buildah", "build", "--format", "docker", "--file", "deploy/Dockerfile"),
            *(
                "--ignorefile",
                "deploy/Dockerfile.dockerignore",
                "--build-arg",
                f"VARIANT={variant}",
            ),
            *("--isolation", "chroot", "--pull=never", *own, "--tag", tag, "."),
        )

    def podman(self, *arguments: str) -> str:
        return self.call(*self._podman(), *arguments)

    @contextmanager
    def serving(self, image: str, name: str, *options: str, **variables: str) -> Iterator[Server]:
        """A container of ``image``, called ``name`` and locked down; ready, and stopped at the
        end."""
        port = free_port()
        settings = {"BENTOML_PORT": str(port), **variables}
        command = [
            *(*self._podman(), "run", "--rm", "--name", name, "--network=host"),
            *("--no-healthcheck", *LOCKED, *self.limits(), *options),
            *(f"--env={key}={value}" for key, value in settings.items()),
            image,
        ]
        log = self.folder / f"{name}.log"
        with serving(command, port, self.folder, self.environment, log) as server:
            yield server

    def limits(self) -> tuple[str, ...]:
        """This process's own: no container may raise them without CAP_SYS_RESOURCE."""
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (f"--ulimit=nofile={files}:{files}", "--ulimit=nproc=4096:4096")

    def _podman(self) -> tuple[str, ...]:
        """With a runtime that this machine's control groups allow: crun refuses hybrid ones."""
        hybrid = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
        return ("podman", "--runtime", "runc") if hybrid else ("podman",)

    def _configure(self, driver: str) -> None:
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "{driver}"\n'
            f'graphroot = "{self.folder / driver}"\nrunroot = "{self.folder / "run"}"\n'
        )
        (self.folder / "containers.conf").write_text("[containers]\ndefault_ulimits = []\n")

    def _try(self, *command: str, seconds: float = 60) -> bool:
        try:
            done = subprocess.run(
                command, env=self.environment, capture_output=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def _make_base(self) -> None:
        """What the official image has, from the packages of the same Debian."""
        root = self.folder / "base"
        packages = "--include=python3,python3-venv,python3-pip,ca-certificates"
        self.call("debootstrap", "--variant=minbase", packages, "bookworm", root, DEBIAN)
        self.call("chroot", root, "ln", "-sf", "python3", "/usr/bin/python")
        (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink()
        container = self.call("buildah", "from", "scratch").strip()
        mounted = self.call("buildah", "mount", container).strip()
        self.call("cp", "-a", f"{root}/.", f"{mounted}/")
        self.call("buildah", "umount", container)
        path = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
        self.call("buildah", "config", "--env", f"PATH={path}", "--cmd", "python3", container)
        self.call("buildah", "commit", "--quiet", "--format", "docker", container, BASE)
        self.call("buildah", "rm", container)
        self.call("rm", "-rf", root)
