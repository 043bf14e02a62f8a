"""Why a request cannot be carried out."""

from __future__ import annotations

from http import HTTPStatus

from shared.errors import PlatformError, UnavailableError


class ImpossibleError(PlatformError):
    """The request can never be carried out as it stands."""

    code = "run.impossible"
    status = HTTPStatus.CONFLICT


class ServerGoneError(ImpossibleError):
    """The database server was removed after the request."""

    code = "server.gone"
    default_fix = "add the server again, or choose another one"


class StoreGoneError(ImpossibleError):
    """The store was removed after the request."""

    code = "store.gone"
    default_fix = "add the store again, or choose another one"


class QuotaExceededError(ImpossibleError):
    """The backup would fill a store or a group beyond its quota; nothing was dumped."""

    code = "quota.exceeded"
    default_fix = "raise the quota, delete backups, or keep fewer of them"


class NotRestorableError(ImpossibleError):
    """There is nothing whole to restore from."""

    code = "backup.not_restorable"
    default_fix = "choose a backup that is completed and not corrupt"


class NotExecutableError(ImpossibleError):
    """No executor of this version carries out command templates."""

    code = "command.not_executable"
    default_fix = "run the command by hand; a later version executes templates"


class NoWorkerError(UnavailableError):
    """No worker of the pool has ever announced its key: orders cannot be sealed to it yet."""

    code = "pool.no_worker"
    default_fix = "start an executor of the pool; the run waits for it"


class NotReadyError(UnavailableError):
    """The platform's first start is not over."""

    code = "platform.starting"
    default_fix = "nothing: the run waits"
