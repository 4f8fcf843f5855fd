"""`python deploy/attempt.py COMMAND …`: runs a step of an installation, of which a failure is told
in one line with its remedy.

It prints nothing of a command that succeeds, and everything of one that fails for a reason that it
does not know. Only the standard library is imported: nothing is installed yet.
"""

import re
import subprocess
import sys
from typing import NamedTuple


class Cause(NamedTuple):
    """Why installations fail: what a line of the output has in it, and what helps."""

    pattern: str
    remedy: str


# The first that any line has wins: pip ends in "No matching distribution" for most of them.
CAUSES = (
    Cause(
        r"No space left on device|Disk quota exceeded",
        "the disk is full: serving needs 500 MB in this folder, the tests 5 GB, and as much for a"
        " moment in TMPDIR; TMPDIR=… and PIP_CACHE_DIR=… name folders elsewhere",
    ),
    Cause(
        r"Read-only file system|Permission denied|Operation not permitted",
        "a folder cannot be written to: take a copy of this one that is yours",
    ),
    Cause(
        r"No module named '?(?:ensurepip|venv)\b|ensurepip is not available",
        "this Python cannot make environments: on Debian and Ubuntu, apt-get install python3-venv",
    ),
    Cause(
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "the index's certificate is not trusted; if a proxy has a CA of its own, name its file by"
        " PIP_CERT=/path/to/ca.pem",
    ),
    Cause(
        r"ProxyError|NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout"
        r"|ConnectionResetError|RemoteDisconnected|Tunnel connection failed",
        "the package index does not answer: connect to the network, or name a proxy by"
        " HTTPS_PROXY=…, a mirror by PIP_INDEX_URL=…",
    ),
    Cause(
        r"command '\S*(?:cc|clang|\+\+|gnu-gcc)\S*' failed|No such file or directory: '\S*cc'"
        r"|Python\.h: No such file|[Uu]nknown compiler|no acceptable C compiler|cargo.*not found",
        "a package has no wheel for this Python and system, and cannot be compiled: take another"
        " Python by PYTHON=python3.12 after `make clean`, or install its compiler (on Debian and"
        " Ubuntu, apt-get install build-essential python3-dev)",
    ),
    Cause(
        r"No matching distribution found",
        "the index has no release for this Python and system: take another Python by"
        " PYTHON=python3.12 after `make clean`",
    ),
)


def explain(output: str) -> str | None:
    """One line: what ``output`` says of the cause, and the remedy; None if it shows none.

    Of several lines that show it the last is the command's own conclusion.
    """
    for cause in CAUSES:
        shown = re.findall(rf"(?:{cause.pattern}).*", output)
        if shown:
            line = re.sub(r"<[^<>]* object at \w+>: ", "", shown[-1])
            return f"{line.strip()[:200]}: {cause.remedy}"
    return None


def main() -> None:
    try:
        done = subprocess.run(
            sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    if done.returncode:
        told = explain(done.stdout)
        sys.stderr.write(f"boxport: {told}\n" if told else done.stdout)
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
