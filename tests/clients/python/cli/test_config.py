"""Where the address and the key come from, and the file that they may be in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from boxport_client.cli._config_file import write_key
from boxport_client.cli._exit_status import CommandError
from boxport_client.cli._settings import find_service


@pytest.fixture
def file(boxport) -> Path:
    path = Path(boxport.environment["XDG_CONFIG_HOME"]) / "boxport" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        """# mine
url = "http://top"
api_key = "key-of-top-0001"  # old

[profiles.shop]
url = "http://shop"
api_key = "key-of-shop-0002"
"""
    )
    return path


def test_nothing_is_said(boxport) -> None:
    assert json.loads(boxport("config").stdout) == {
        "url": {"value": "http://localhost:3000", "source": "default"},
        "api_key": {"value": None, "source": "none"},
    }


def found(monkeypatch: pytest.MonkeyPatch, boxport, *given: str | None) -> tuple:
    """Address and key for these --url, --api-key and --profile."""
    for name in ("BOXPORT_URL", "BOXPORT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in boxport.environment.items():
        monkeypatch.setenv(name, value)
    service = find_service(*given)
    return service.url.value, service.api_key.value


def test_who_goes_before_whom(boxport, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, boxport, None, None, None) == ("http://top", "key-of-top-0001")
    boxport.environment |= {"BOXPORT_URL": "http://top", "BOXPORT_API_KEY": "key-of-variable-3"}
    assert found(monkeypatch, boxport, None, None, None) == ("http://top", "key-of-variable-3")
    boxport.environment["BOXPORT_URL"] = "http://variable"
    variables = ("http://variable", "key-of-variable-3")
    assert found(monkeypatch, boxport, None, None, None) == variables
    shop = ("http://shop", "key-of-shop-0002")
    assert found(monkeypatch, boxport, None, None, "shop") == shop
    assert found(monkeypatch, boxport, "http://a", "k", "shop") == ("http://a", "k")
    assert found(monkeypatch, boxport, None, "k", None) == ("http://variable", "k")


def test_a_file_key_is_for_its_own_address(
    boxport, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(monkeypatch, boxport, "http://other", None, None) == ("http://other", None)
    assert found(monkeypatch, boxport, "http://top/", None, None)[1] == "key-of-top-0001"
    assert found(monkeypatch, boxport, "http://top", None, "shop") == ("http://top", None)
    boxport.environment["BOXPORT_URL"] = "http://other"
    assert found(monkeypatch, boxport, None, None, None) == ("http://other", None)


def test_keys_of_the_file_are_sent_and_shown_in_part(boxport, file: Path, album, scripted) -> None:
    boxport("detect", "album/coffee.jpg", "--url", scripted.url)
    boxport("config", "set", "url", scripted.url, "--profile", "shop")
    boxport("detect", "album/coffee.jpg", "--profile", "shop")
    sent = [asked.headers.get("authorization") for asked in scripted.asked]
    assert sent == [None, "Bearer key-of-shop-0002"]
    shown = boxport("config", "--url", "http://other", "--profile", "shop").stdout
    api_key = json.loads(shown)["api_key"]
    assert api_key["value"] is None
    assert api_key["source"].endswith(f"is for {scripted.url}")
    shown = boxport("config").stdout
    assert json.loads(shown)["api_key"]["value"] == "\N{HORIZONTAL ELLIPSIS}0001"
    assert b"key-of" not in shown


def test_setting_a_key_keeps_all_else(boxport, file: Path) -> None:
    assert boxport("config", "set", "url", "http://new").returncode == 0
    assert (
        boxport("config", "set", "api_key", "--profile", "home", stdin=b"from-a-pipe\n").returncode
        == 0
    )
    text = file.read_text()
    assert text.startswith('# mine\nurl = "http://new"\napi_key = "key-of-top-0001"  # old\n')
    assert '[profiles.home]\napi_key = "from-a-pipe"' in text
    assert 'url = "http://shop"' in text
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]
    boxport("config", "unset", "api_key", "--profile", "home")
    assert "from-a-pipe" not in file.read_text()


def test_the_first_setting_makes_the_file(boxport) -> None:
    assert boxport("config", "set", "url", "http://new").returncode == 0
    assert json.loads(boxport("config").stdout)["url"]["value"] == "http://new"


def test_a_key_is_asked_for_in_secret(boxport) -> None:
    status, terminal = boxport.in_terminal(
        "config", "set", "api_key", until=lambda text: "api_key" in text
    )
    assert status == 130
    assert "Traceback" not in terminal


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('url = "', "is not TOML"),
        ('adress = "http://x"', "adress is unknown; keys: url, api_key"),
        ("url = 3", "url must be a string in quotes"),
        ("[profiles.a]\nkey = 'x'", "profiles.a.key is unknown"),
        ("profiles = 3", "profiles must be tables"),
        ("profiles.a = 3", "profiles.a must be a table"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_a_line(
    boxport, file: Path, text: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(text)
    with pytest.raises(CommandError) as caught:
        found(monkeypatch, boxport, None, None, None)
    assert str(caught.value).startswith(f"{file}: ")
    assert line in str(caught.value)
    with pytest.raises(CommandError):
        write_key("url", "http://new", None)
    assert file.read_text() == text


def test_what_no_client_takes_is_not_written(boxport, file: Path) -> None:
    before = file.read_text()
    for words in (["url", "shop.example"], ["api_key", "a b"], ["api_key"], ["colour", "red"]):
        done = boxport("config", "set", *words)
        assert done.returncode == 2, words
        assert len(done.stderr.splitlines()) == 1
    done = boxport("config", "--profile", "nope")
    assert b"has no profile 'nope'; profiles: shop" in done.stderr
    assert file.read_text() == before


def test_in_a_terminal(boxport, file: Path) -> None:
    status, text = boxport.in_terminal("config")
    assert status == 0
    assert "http://top" in text
    assert "\N{HORIZONTAL ELLIPSIS}0001" in text
    assert "key-of-top" not in text
