"""The failures that only the gateway tells its callers."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from shared.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PlatformError,
    UnauthenticatedError,
)


class InputFault(msgspec.Struct, frozen=True):
    """One wrong value: where it stands (RFC 6901 pointer into the body), and what is wrong."""

    pointer: str
    message: str


class InvalidFieldsError(InvalidInputError):
    """Some values of the input cannot be right; `faults` names each of them."""

    default_fix = "correct the named fields; the API documentation shows what each may hold"

    def __init__(self, cause: str, faults: list[InputFault], *, fix: str | None = None) -> None:
        super().__init__(cause, fix=fix)
        self.faults = faults


class SecretRequiredError(InvalidFieldsError):
    """A secret would travel to another place than it was entered for: it is needed again."""

    code = "secret.required"
    default_fix = "send the secret together with the changed settings"


class ErasedSecretError(InvalidFieldsError):
    """An earlier version holds a secret whose key was erased: it cannot come back."""

    code = "setting.secret_erased"
    status = HTTPStatus.CONFLICT
    default_fix = "replace the setting instead, and enter the named secrets again"


class NameTakenError(ConflictError):
    """Another thing of the same noun has this name."""

    code = "name.taken"
    default_fix = "choose another name"


class InUseError(ConflictError):
    """Something else still needs what should be deleted."""

    code = "in_use"


class PreconditionRequiredError(PlatformError):
    """A change has to say which version it changes."""

    code = "precondition.required"
    status = HTTPStatus.PRECONDITION_REQUIRED
    default_fix = "send the ETag of the version you saw as If-Match"


class PreconditionFailedError(PlatformError):
    """Somebody changed the thing after the caller saw it."""

    code = "precondition.failed"
    status = HTTPStatus.PRECONDITION_FAILED
    default_fix = "load the current version, look at it, and send the change again"


class KeyReusedError(PlatformError):
    """The Idempotency-Key already stands for another request."""

    code = "idempotency.reused"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    default_fix = "use a new Idempotency-Key for a new request"


class SpentKeyError(ConflictError):
    """What this Idempotency-Key created is deleted."""

    code = "idempotency.spent"
    default_fix = "use a new Idempotency-Key to create it anew"


class SetupDoneError(ConflictError):
    """The first administrator exists already."""

    code = "setup.done"
    default_fix = "sign in; an administrator can add accounts"


class WrongTokenError(ForbiddenError):
    """The one-time token of the first administrator is wrong."""

    code = "setup.wrong_token"
    default_fix = "copy the token that `holdfast up` printed"


class WrongCredentialsError(UnauthenticatedError):
    """No such account, a wrong password, or a disabled account: the answer is the same."""

    code = "auth.wrong_credentials"
    default_fix = "check the address and the password"


class SessionEndedError(UnauthenticatedError):
    """The session is over: signed out, too old, or its refresh token was used twice."""

    code = "auth.session_ended"
    default_fix = "sign in again"


class TooManyAttemptsError(PlatformError):
    """Too many failed sign-ins for one account, or from one address."""

    code = "auth.too_many_attempts"
    status = HTTPStatus.TOO_MANY_REQUESTS
    default_fix = "wait some minutes, then try again"
    retry_after_s: int = 300


class TooManyRequestsError(TooManyAttemptsError):
    """More requests a minute than one account or address may make."""

    code = "rate_limited"
    default_fix = "wait as long as Retry-After says; ask for less, or follow /events instead"

    def __init__(self, cause: str, *, retry_after_s: int) -> None:
        super().__init__(cause)
        self.retry_after_s = retry_after_s


class AddressRefusedError(ForbiddenError):
    """Nobody may use this gateway, or this API key, from the caller's address."""

    code = "auth.address_refused"
    default_fix = "call from an allowed network; see ALLOWED_ADDRESSES, or the key's addresses"


class SessionRequiredError(ForbiddenError):
    """An API key was used for what only a person may do who signed in."""

    code = "auth.session_required"
    default_fix = "sign in with a password"


class LastAdminError(ConflictError):
    """Nobody would be left who may administer everything."""

    code = "user.last_admin"
    default_fix = "make somebody else an administrator of everything first"


class ForeignOriginError(ForbiddenError):
    """A browser sent a change from another site."""

    code = "auth.foreign_origin"
    default_fix = "use the dashboard of this gateway, or a bearer token"


class NotRestorableError(ConflictError):
    """The backup cannot be restored: not finished, corrupt, expired or deleted."""

    code = "backup.not_restorable"
    default_fix = "choose a completed backup that is neither corrupt nor expired"


class NoRoomError(ConflictError):
    """The copy would fill the store beyond its quota; nothing was copied."""

    code = "store.no_room"
    default_fix = "raise the store's quota, delete backups there, or choose another store"


class HeldError(ConflictError):
    """A hold lies on the backup, so nobody can delete it."""

    code = "backup.held"
    default_fix = (
        "release the hold first, or wait until it ends; a legal one an administrator lifts"
    )


class DeletionBegunError(ConflictError):
    """Objects of the backup may be gone already, so its deletion cannot be taken back."""

    code = "backup.deletion_begun"
    default_fix = "restore from another backup"


class ExpiresAgainError(ConflictError):
    """A policy let the backup expire, and would at once do so again."""

    code = "backup.expires_again"
    default_fix = "put a hold on the backup first, or change the policy"


class NotHeldError(ConflictError):
    """No hold of this kind lies on the backup."""

    code = "backup.not_held"
    default_fix = "look at the backup's holds"


class NotHoldableError(ConflictError):
    """The backup has no copy that a hold could keep."""

    code = "backup.not_holdable"
    default_fix = "choose a completed backup that nobody asked to delete"


class PreviewTooLargeError(ConflictError):
    """More backups stand of a database than a preview looks at."""

    code = "policy.preview_too_large"
    default_fix = "preview another database; the rules work alike for all of them"


class NotDownloadableError(ConflictError):
    """There is nothing whole to download: not finished, deleted, or its store is gone."""

    code = "backup.not_downloadable"
    default_fix = "choose a completed backup"


class DownloadRefusedError(ConflictError):
    """The archive's key could not be opened for the download."""

    code = "download.refused"


class LinkGoneError(NotFoundError):
    """The link was used, is too old, belongs to another account, or never was."""

    code = "download.gone"
    default_fix = "ask for the download again; a link works once, for five minutes"


class NeededError(ConflictError):
    """Other backups build on this one: without it they could not be restored."""

    code = "backup.needed"
    default_fix = "delete the backups that build on it first"


class ParentGoneError(ConflictError):
    """What the backup builds on is to be deleted, too."""

    code = "backup.parent_gone"
    default_fix = "take the deletion of the backup that it builds on back first"


class StillRunningError(ConflictError):
    """The thing is worked on at this moment."""

    code = "backup.running"
    default_fix = "cancel the run first, or wait until it ends"


class RunEndedError(ConflictError):
    """The run is over."""

    code = "run.ended"
    default_fix = "nothing to stop; look at the run's result"


class LogExpiredError(PlatformError):
    """The live log of an old run is gone; the finished one lies in the archive."""

    code = "run.log_expired"
    status = HTTPStatus.GONE
    default_fix = "read the object `log` of the backup's archive"


class NotRepeatableError(ConflictError):
    """The delivery told no fact that could be told again."""

    code = "notification.not_repeatable"
    default_fix = "send a test to the channel, or redeliver one of the facts"


class NotAnnouncedError(PlatformError):
    """No service has announced the plug-ins of this kind yet."""

    code = "plugins.not_announced"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retryable = True
    default_fix = "wait until the owning service has started; `holdfast status` shows it"
