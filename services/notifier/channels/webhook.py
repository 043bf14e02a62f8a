"""A webhook: one signed POST per note, as the Standard Webhooks specification says."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from services.notifier.channels.base import Note
from services.notifier.channels.posting import AllowPrivate, CaCertificate, Target, Url, post

_SECRET = r"whsec_[A-Za-z0-9+/]{32,86}={0,2}"  # noqa: S105 - a pattern


class Webhook(
    msgspec.Struct, tag="webhook", tag_field="kind", frozen=True, forbid_unknown_fields=True
):
    """An HTTP receiver that knows the secret and checks the signature of each request."""

    FOR_PEOPLE: ClassVar[bool] = False

    url: Url
    secret: Annotated[
        str,
        Meta(
            title="Signing secret",
            description="`whsec_` and the base64 of 24 to 64 random bytes; the receiver has it too",
            pattern=f"^{_SECRET}$",
            extra_json_schema={"writeOnly": True},
        ),
    ]
    former_secret: Annotated[
        str,
        Meta(
            title="Former signing secret",
            description="While the secret is exchanged: each request is signed with both",
            pattern=f"^({_SECRET})?$",
            extra_json_schema={"writeOnly": True},
        ),
    ] = ""
    ca_certificate: CaCertificate = ""
    allow_private: AllowPrivate = False

    def __post_init__(self) -> None:
        for name, secret in (("secret", self.secret), ("former_secret", self.former_secret)):
            try:
                base64.b64decode(secret.removeprefix("whsec_"), validate=True)
            except ValueError:
                raise ValueError(f"`{name}` is not valid base64") from None

    def __repr__(self) -> str:
        return "Webhook(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []  # the URL of a webhook is often a secret too

    async def send(self, note: Note, *, allow_loopback: bool = False) -> None:
        body = msgspec.json.encode({**note.event, "text": note.body or note.text})
        target = Target(
            url=self.url,
            ca_certificate=self.ca_certificate,
            allow_private=self.allow_private,
            allow_loopback=allow_loopback,
        )
        await post(target, body, self._headers(note, body))

    def _headers(self, note: Note, body: bytes) -> dict[str, str]:
        from standardwebhooks.webhooks import Webhook as Signer

        at = datetime.now(UTC)
        secrets = filter(None, (self.secret, self.former_secret))
        signatures = (Signer(one).sign(str(note.id), at, body.decode()) for one in secrets)
        return {
            "content-type": "application/json",
            "user-agent": "holdfast",
            "webhook-id": str(note.id),
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
