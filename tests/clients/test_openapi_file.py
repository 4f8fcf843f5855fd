"""The description that clients are made from is that of the service."""

from service.http.openapi.document import dump_api
from service.http.routes import ROUTES
from tests.paths import ROOT

FILE = ROOT / "clients" / "openapi.json"


def test_file_is_the_services_own() -> None:
    assert FILE.read_text("utf-8") == dump_api(ROUTES), (
        "clients/openapi.json is of another service; mend it by:"
        " .venv/bin/python -m service openapi > clients/openapi.json"
    )
