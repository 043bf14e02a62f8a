"""What of a new stream its parent holds: many chunks at once are found as one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.archive.matching import Known, Matcher

# Few names, so that repetitions, gaps, swaps and jumps all come up.
STREAMS = st.lists(st.integers(0, 30), max_size=200)
WINDOW = 16


def known(number: int, place: int) -> Known:
    return Known(bytes([number]) * 16, 0, 100 * place, 1 + number)


def found(parent: list[int], new: list[int], *, at_once: int) -> list[Known | None]:
    """Where each chunk of the new stream is in the parent, followed so many at a time."""
    matcher = Matcher(window=WINDOW, patience=4)
    coming = [known(number, place) for place, number in enumerate(parent)]
    chunks = [(bytes([number]) * 16, 1 + number) for number in new]
    places: list[Known | None] = []
    for begin in range(0, len(chunks), 8):
        more = WINDOW - matcher.ahead
        matcher.extend(coming[:more])
        del coming[:more]
        end = min(begin + 8, len(chunks))
        while (at := len(places)) < end:
            places += matcher.follow(chunks[: min(at + at_once, end)], at)
            if len(places) == at:
                places.append(matcher.find(*chunks[at]))
    return places


@given(STREAMS, STREAMS, st.integers(1, 8))
def test_following_many_chunks_finds_what_asking_for_each_finds(
    parent: list[int], new: list[int], at_once: int
) -> None:
    assert found(parent, new, at_once=at_once) == found(parent, new, at_once=0)


@given(STREAMS)
def test_an_unchanged_stream_is_found_whole(parent: list[int]) -> None:
    assert found(parent, parent, at_once=8) == [
        known(number, place) for place, number in enumerate(parent)
    ]
