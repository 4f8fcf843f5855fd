"""The descriptions that clients are made from are those of the service."""

import pytest

from service.http.openapi.document import dump_api
from service.http.routes import ROUTES
from tests.paths import ROOT


@pytest.mark.parametrize(
    ("name", "option"), [("openapi.json", ""), ("openapi-generators.json", " --generators")]
)
def test_file_is_the_services_own(name: str, option: str) -> None:
    own = dump_api(ROUTES, generators=bool(option))
    assert (ROOT / "clients" / name).read_text("utf-8") == own, (
        f"clients/{name} is of another service; mend it by:"
        f" .venv/bin/python -m service openapi{option} > clients/{name}"
    )
