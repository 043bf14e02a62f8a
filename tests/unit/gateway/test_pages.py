"""The dashboard is served from memory, with a strict policy; without it the documentation is."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from services.gateway.pages import CONTENT_SECURITY_POLICY, Pages
from services.gateway.problems import HANDLERS
from services.gateway.routes import dashboard

BROWSER = {"accept": "text/html,application/xhtml+xml"}
SCRIPT = "console.log('holdfast')\n" * 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a build leaves, small."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<script type="module" src="/assets/a-1.js"></script>')
    (tmp_path / "assets/a-1.js").write_text(SCRIPT)
    (tmp_path / "theme.js").write_text("1")
    return tmp_path


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient[Litestar]]:
    built = Pages(folder)
    monkeypatch.setattr(dashboard, "pages", lambda: built)
    with TestClient(Litestar(dashboard.ROUTES, exception_handlers=HANDLERS)) as client:
        yield client


def test_every_address_that_a_browser_asks_for_begins_with_the_same_page(
    client: TestClient[Litestar],
) -> None:
    for path in ("/", "/databases", "/runs/0199?status=failed"):
        answer = client.get(path, headers=BROWSER)

        assert answer.status_code == 200
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["cache-control"] == "no-cache"
        assert "/assets/a-1.js" in answer.text


def test_what_is_named_by_its_content_is_kept_for_ever_and_sent_compressed(
    client: TestClient[Litestar],
) -> None:
    packed = client.get("/assets/a-1.js", headers={"accept-encoding": "gzip"})
    plain = client.get("/assets/a-1.js", headers={"accept-encoding": "identity"})

    assert "immutable" in packed.headers["cache-control"]
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content)
    assert packed.text == plain.text == SCRIPT
    assert client.get("/theme.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/nowhere", {"accept": "application/json"}),
        ("/assets/gone-2.js", BROWSER),
        ("/..%2f..%2fpages.py", {}),
        ("/assets/../../pages.py", {}),
    ],
)
def test_what_is_neither_a_file_nor_an_address_is_not_found(
    client: TestClient[Litestar], path: str, headers: dict[str, str]
) -> None:
    assert client.get(path, headers=headers).status_code == 404


def test_without_a_build_a_person_is_led_to_the_documentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "pages", lambda: Pages(tmp_path / "never-built"))

    with TestClient(Litestar(dashboard.ROUTES)) as client:
        answer = client.get("/", headers=BROWSER, follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (302, "/docs")


def test_the_page_of_the_sources_needs_no_inline_script_and_nothing_from_elsewhere() -> None:
    page = (Path(__file__).resolve().parents[3] / "frontend/index.html").read_text()

    assert not re.findall(r"<script[^>]*>[^<]", page)
    assert not re.findall(r"""(?:src|href)=["'](?!/)""", page)
    assert "style=" not in page


def test_compressed_and_plain_are_the_same_bytes(folder: Path) -> None:
    script = Pages(folder).file("assets/a-1.js")

    assert script is not None
    assert script.compressed is not None
    assert gzip.decompress(script.compressed) == script.content
