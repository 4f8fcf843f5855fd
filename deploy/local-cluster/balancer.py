"""What the balancer knows of the replicas, by its own page."""

import csv
from dataclasses import dataclass
from urllib.request import ProxyHandler, build_opener

BACKEND = "replicas"
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Seen:
    """A replica, as HAProxy sees it.

    status: UP; NOLB, about to stop; DOWN; with how many checks the other way there were, such as
        "UP 2/3".
    inside: requests that it has not answered yet. answered: since the balancer's start.
    """

    address: str
    status: str
    inside: int
    answered: int


def list_replicas(page: str) -> dict[str, Seen]:
    """The replicas by their names; raises OSError if the balancer does not answer.

    page: its URL.
    """
    # not by way of a proxy: it is on this machine
    with build_opener(ProxyHandler({})).open(f"{page}/;csv", timeout=TIMEOUT_SECONDS) as reply:
        lines = reply.read().decode().removeprefix("# ").splitlines()
    return {
        row["svname"]: Seen(row["addr"], row["status"], int(row["scur"]), int(row["stot"]))
        for row in csv.DictReader(lines)
        if row["pxname"] == BACKEND and row["svname"] != "BACKEND"
    }
