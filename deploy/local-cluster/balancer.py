"""Reads the balancer's page: its view of the replicas."""

import csv
from dataclasses import dataclass
from urllib.request import ProxyHandler, build_opener

BACKEND = "replicas"
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Seen:
    """A replica, as HAProxy sees it.

    status: UP, NOLB (about to stop) or DOWN, with the number of contrary checks, such as "UP 2/3".
    inside: requests in flight. answered: requests since the balancer's start.
    """

    address: str
    status: str
    inside: int
    answered: int


def list_replicas(page: str) -> dict[str, Seen]:
    """The replicas by name, from the page at the URL ``page``; raises OSError if the balancer does
    not answer."""
    # without a proxy: it is on this machine
    with build_opener(ProxyHandler({})).open(f"{page}/;csv", timeout=TIMEOUT_SECONDS) as reply:
        lines = reply.read().decode().removeprefix("# ").splitlines()
    return {
        row["svname"]: Seen(row["addr"], row["status"], int(row["scur"]), int(row["stot"]))
        for row in csv.DictReader(lines)
        if row["pxname"] == BACKEND and row["svname"] != "BACKEND"
    }
