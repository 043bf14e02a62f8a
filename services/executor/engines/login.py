"""How a database server is reached, whatever its engine."""

from __future__ import annotations

from typing import Protocol


class Login(Protocol):
    """The fields of the engine that say how the server is reached."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def user(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def tls(self) -> str: ...
    @property
    def ca_certificate(self) -> str: ...
