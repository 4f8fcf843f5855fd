"""A command in a root folder of its own, as a container engine would run it; takes root.

The folder has what the image adds. This machine's system folders stand in for the base image: they
are mounted into it, read-only, for the command alone, so that nothing is left mounted afterwards.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SYSTEM = ("/bin", "/sbin", "/lib", "/lib64", "/usr", "/etc", "/opt/wheels")
PYTHON = sys.base_prefix  # has `python` and `pip`, as the base image has
PATH = f"{PYTHON}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches packages; an engine's build would have it from its own configuration.
NETWORK = ("PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

_ENTER = """\
set -eu
root=$1 volume=$2 user=$3 folder=$4; shift 4
mount --bind "$root" "$root"
for system in $SYSTEM; do
    test -d "$system" || continue
    if test -L "$system"; then ln -sfn "$(readlink "$system")" "$root$system"; continue; fi
    mkdir -p "$root$system"
    mount --bind "$system" "$root$system"
    mount -o remount,bind,ro "$root$system"
done
mkdir -p "$root/proc" "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
if test -n "$volume"; then
    mount --bind "$volume" "$root/var/lib/boxport"
    mount -o remount,bind,ro "$root"
fi
exec chroot --userspec="$user" --groups= "$root" env -i "$@"
"""


@dataclass(frozen=True)
class Container:
    """How a command is run in ``root``: in ``folder``, by ``user``, with ``environment`` alone.

    volume: what lies at /var/lib/boxport; with it the rest is read-only.
    """

    root: Path
    environment: Mapping[str, str]
    user: str = "0:0"
    folder: str = "/"
    volume: Path | None = None

    def command(self, arguments: Sequence[str]) -> list[str]:
        """What runs ``arguments`` as process 1 of a process namespace of its own. That is the only
        child of what is started."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *("env", f"SYSTEM={' '.join([*SYSTEM, PYTHON])}", "sh", "-c", _ENTER, "enter"),
            *(str(self.root), str(self.volume or ""), self.user, self.folder),
            *variables,
            *("sh", "-c", 'cd "$0" && exec "$@"', self.folder, *arguments),
        ]


def network_environment() -> dict[str, str]:
    """The variables of this process that say how packages are reached."""
    return {name: value for name, value in os.environ.items() if name.upper().startswith(NETWORK)}
