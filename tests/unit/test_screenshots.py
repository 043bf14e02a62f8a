"""The pictures of the dashboard that `make screenshots` took: whole sets, and small."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from PIL import Image

from tests.fixtures.screens import OPENED, SHOTS, SIZES, THEMES

LARGEST_MB = 12
ROUTER = Path(__file__).resolve().parents[2] / "frontend/src/router.ts"
SHOWN_AS = {"/:rest(.*)*": "missing", "/": "overview"}


def names() -> set[str]:
    return {path.stem.rsplit("-", 2)[0] for path in SHOTS.glob("*.png")}


def test_every_page_is_shown_in_both_themes_and_widths() -> None:
    wanted = {f"{one}-{size}-{theme}" for one, size, theme in product(names(), SIZES, THEMES)}

    assert wanted == {path.stem for path in SHOTS.glob("*.png")}


def test_no_page_of_the_router_is_left_out() -> None:
    paths = re.findall(r"(?:page|outside)\('([^']+)', '", ROUTER.read_text())
    assert len(paths) > 20

    for path in paths:
        parts = [part for part in path.split("/") if part]
        noun = SHOWN_AS.get(path) or parts[0]
        shown = noun.removesuffix("s") if ":id" in parts else noun
        if parts and parts[-1] in {"new", "change"}:
            shown = f"{parts[0].removesuffix('s')}-{parts[-1]}"
        if parts[-1:] == ["restore"]:
            shown = "restore"
        assert shown in names(), path
    assert {name for name, _, _ in OPENED} <= names()


def test_pictures_are_small() -> None:
    for path in SHOTS.glob("*.png"):
        with Image.open(path) as picture:
            size = path.stem.rsplit("-", 2)[1]
            assert (picture.mode, picture.width) == ("P", SIZES[size][0]), path.name

    assert sum(path.stat().st_size for path in SHOTS.glob("*.png")) < LARGEST_MB * 1_000_000
