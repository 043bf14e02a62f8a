"""The executor: does the orders of its pool, and says what became of them."""

from __future__ import annotations

import asyncio

import msgspec

from services.executor.backups import BackupTools, BackupWork
from services.executor.cancellations import Cancellations
from services.executor.engines import AnyEngine
from services.executor.memory import MEBIBYTE, Budget, need_of
from services.executor.restores import RestoreTools, RestoreWork
from services.executor.runners import AnyRunner, folders
from services.executor.runs import Rules, Runs, Work, Worker
from services.executor.servers import Questions
from services.executor.settings import ExecutorSettings
from services.executor.verifications import VerificationWork
from shared.archive.keys import WorkerIdentity
from shared.bus import Bus, Delivery
from shared.bus.base import COMMANDS
from shared.faults import Point
from shared.keys.worker import public_half
from shared.messages.orders import (
    DiscoverServer,
    ProbeServer,
    RunBackup,
    RunRestore,
    RunVerification,
    TestServer,
)
from shared.messages.wire import PoisonError
from shared.pace import pace_of
from shared.plugins import announce


class WorkerKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What the pool's workers share: the key that opens orders, and what signs manifests."""

    order_key: bytes
    identity: WorkerIdentity

    def __repr__(self) -> str:
        return "WorkerKeys(***)"


class Executor:
    """One worker process of a pool."""

    def __init__(
        self, bus: Bus, settings: ExecutorSettings, keys: WorkerKeys, *, name: str, point: Point
    ) -> None:
        self._bus, self._settings, self._keys, self._point = bus, settings, keys, point
        self._pace = pace_of(settings.verify_bytes_per_s)
        self._worker = Worker(name=name, order_key=keys.order_key)
        self._cancellations = Cancellations(bus, settings.pool)
        rules = Rules(attempt_limit=settings.attempt_limit, lease_s=settings.run_lease_s)
        self._runs = Runs(bus, name, self._cancellations, point, rules)
        self._memory = Budget(settings.memory_mb * MEBIBYTE)
        self._questions = Questions(bus, self._worker, settings.workplace)

    async def listen(self) -> None:
        """Hear orders of each kind side by side, for ever: a long backup holds up no restore."""
        await asyncio.to_thread(self._prepare)
        await announce(self._bus, "engine", AnyEngine)
        await announce(self._bus, "runner", AnyRunner)
        key = f"worker.{self._settings.pool}"
        await self._bus.kv("keys").put(key, public_half(self._keys.order_key).encode())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._cancellations.listen())
            group.create_task(self._work("restore", self._settings.parallel_restores))
            group.create_task(self._work("backup", self._settings.parallel_backups))
            parallel = self._settings.parallel_verifications
            group.create_task(self._work("verification", parallel))
            group.create_task(self._work("server", self._settings.parallel_questions))

    async def on_order(self, delivery: Delivery) -> None:
        """Do one order; whatever may be said again has been decided by the log before."""
        match delivery.message:
            case RunBackup() as order:
                await self._run(BackupWork(order, self._backup_tools()))
            case RunVerification() as order:
                tools = self._restore_tools()
                await self._run(VerificationWork(order, tools, self._bus.append, self._pace))
            case RunRestore() as order:
                await self._run(RestoreWork(order, self._restore_tools()))
            case TestServer() | DiscoverServer() | ProbeServer() as order:
                await self._questions.answer(order)
            case other:
                raise PoisonError(f"{other.type} is no order that an executor knows")

    async def _run(self, work: Work) -> None:
        """Once there is memory for it: before that it has begun nothing, and holds no lease."""
        async with self._memory.reserved(need_of(work.order, self._settings.pack_threads)):
            await self._runs.run(work)

    async def _work(self, kind: str, parallel: int) -> None:
        pool = self._settings.pool
        await self._bus.work(
            f"executor-{pool}-{kind}",
            COMMANDS,
            [f"cmd.{kind}.*.{pool}.>"],
            self.on_order,
            parallel=parallel,
        )

    def _prepare(self) -> None:
        """Remove what killed workers left in this host's private folders."""
        here = self._settings.workplace
        for folder in (here.folder, here.test_folder):
            folders.prepare(folder)
            folders.sweep(folder)

    def _backup_tools(self) -> BackupTools:
        return BackupTools(
            worker=self._worker,
            identity=self._keys.identity,
            workplace=self._settings.workplace,
            point=self._point,
            pack_threads=self._settings.pack_threads,
        )

    def _restore_tools(self) -> RestoreTools:
        return RestoreTools(
            worker=self._worker, workplace=self._settings.workplace, point=self._point
        )
