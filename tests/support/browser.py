"""A headless Chromium, as the machine has it: never one that a test tool downloads."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright, expect

expect.set_options(timeout=30_000)
"""A page on a busy machine is late, not wrong: what never comes still fails."""

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def chromium() -> str:
    """The path of the browser; `make test` installs the package where it may."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "no chromium on this machine (Debian/Ubuntu: apt install chromium)"
    return found


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """One browser for the block; whoever opens a context in it is somebody new."""
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS])
        try:
            yield running
        finally:
            await running.close()
