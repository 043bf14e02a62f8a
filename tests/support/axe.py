"""axe-core in a page: what of it somebody with a screen reader, or without a mouse, cannot use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Page

SCRIPT = Path(__file__).resolve().parents[2] / "frontend/node_modules/axe-core/axe.min.js"
WCAG_2_2_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RUN = """async (only) => {
    const open = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document
    const { violations } = await axe.run(open, { runOnly: only, resultTypes: ['violations'] })
    return violations.map(({ id, nodes }) => ({
        id,
        where: nodes.map((one) => `${one.target.join(' ')}: ${one.any[0]?.message ?? ''}`),
    }))
}"""


async def bring_axe(context: BrowserContext) -> None:
    """Every page of this context can be looked at."""
    assert SCRIPT.exists(), "no axe-core: run .ci/frontend build (make test does)"
    await context.add_init_script(path=SCRIPT)
    await context.add_init_script(STILL)


STILL = """
    const still = new CSSStyleSheet()
    still.replaceSync('*, *::before, *::after { transition: none !important }')
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, still]
"""
"""Amid a change of theme some colours would be the old theme's and some the new one's."""


async def violations(page: Page, where: str) -> list[str]:
    """What breaks a rule of WCAG 2.2 AA as the page is now, in light and in dark.

    Where a dialog is open, that is looked at: nobody can reach what lies behind it.
    """
    found = await _run(page, {"type": "tag", "values": WCAG_2_2_AA})
    await page.emulate_media(color_scheme="dark")
    # All else is the same: a theme changes colours alone.
    dark = await _run(page, {"type": "rule", "values": ["color-contrast"]})
    await page.emulate_media(color_scheme="light")
    return [
        f"{where}, {theme}: {one['id']} at {one['where'][:4]}"
        for theme, ones in (("light", found), ("dark", dark))
        for one in ones
    ]


async def _run(page: Page, only: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await page.evaluate(RUN, only)
    return found
