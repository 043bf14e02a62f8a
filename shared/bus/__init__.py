"""The bus: the only way services speak. `jetstream.py` is the real one, `memory.py` its twin."""

from shared.bus.base import (
    Answerer,
    Appended,
    Bus,
    Delivery,
    Draft,
    Entry,
    Expect,
    Handler,
    Kv,
    StreamState,
    WrongSequenceError,
)

__all__ = [
    "Answerer",
    "Appended",
    "Bus",
    "Delivery",
    "Draft",
    "Entry",
    "Expect",
    "Handler",
    "Kv",
    "StreamState",
    "WrongSequenceError",
]
