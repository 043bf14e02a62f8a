"""Where a backup can be killed."""

from __future__ import annotations

POINTS = (
    "order-received",
    "lease-taken",
    "attempted",
    "dump-started",
    "data-opened",
    "first-frame",
    "mid-data",
    "data-written",
    "data-checked",
    "index-written",
    "log-written",
    "envelope-written",
    "manifest-written",
    "archive-written",
    "before-ending-said",
    "completed-appended",
    "lease-returned",
)
"""The steps of the executor, in the order in which one backup passes them."""
