"""When a note that was not accepted is tried again."""

from __future__ import annotations

# The schedule that the Standard Webhooks specification recommends: about three days in all.
DELAYS_S = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
TRIES = len(DELAYS_S) + 1
LONGEST_S = DELAYS_S[-1]
SPREAD = 0.2
PATIENCE_S = sum(DELAYS_S) * (1 + SPREAD)


def wait_s(tries: int, *, age_s: float, retry_after_s: float | None, chance: float) -> float | None:
    """Seconds until the next try after `tries` (from 1) failed ones; None: give up.

    Tries are counted in memory, so a fact older (`age_s`) than all delays together is given up
    however often it was tried. `chance` in [0, 1) spreads the tries of many notes over a fifth
    of the delay. What the receiver asked for counts when it is longer, up to a day.
    """
    if tries >= TRIES or age_s > PATIENCE_S:
        return None
    planned = DELAYS_S[tries - 1] * (1 + SPREAD * chance)
    return max(planned, min(retry_after_s or 0.0, LONGEST_S))
