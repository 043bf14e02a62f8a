"""Deep verifications by a real executor: on a disk and in a bucket, of fulls and increments."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.executor.orders import trust_of
from services.executor.sifting import Parent
from shared.archive.chain import Chain, Link
from shared.archive.keys import Trust
from shared.archive.objects import read_small
from shared.archive.reader import open_envelope
from shared.keys.files import platform_fingerprint
from shared.keys.reading import read_identity
from shared.messages.base import now
from shared.messages.facts import (
    ArchiveCorrupted,
    BackupCorrupted,
    RestoreCompleted,
    RestoreFailed,
)
from shared.messages.facts.archives import archive_id
from shared.messages.orders import ChainPart, ChainSecrets, OrderSecrets, RunVerification
from shared.stores import Local, Store
from tests.integration.executor.world import World
from tests.support.archives import SMALL, make_plan, text, write
from tests.support.s3 import BUCKET, rclone_s3

STORES = ["local", "s3"]


class Shelf:
    """A full and an increment of this installation in a store, and what may happen to them."""

    def __init__(self, world: World, store: Store, config: dict[str, Any], root: Path) -> None:
        self.world, self.store, self.config, self.root = world, store, config, root
        self.full, self.increment = uuid4(), uuid4()
        self.raw = text(200_000)

    async def fill(self) -> None:
        identity = read_identity(self.world.keys.signing_key, self.world.keys.certificate)
        plan = make_plan(
            cut=SMALL,
            frame_bytes=20_000,
            worker=identity,
            recipients=(self.world.recipient.public,),
            backup_id=str(self.full),
            attempt="1",
        )
        await write(self.store, self.raw, plan)
        parent = Parent(await Chain.open([await self.link(self.full)], self.trusted), None)
        chance = random.Random(5)
        self.raw = self.raw[:90_000] + chance.randbytes(30_000) + self.raw[100_000:]
        (name,) = parent.archives
        about = msgspec.structs.replace(plan.about, type="incremental", parent=name)
        plan = msgspec.structs.replace(plan, backup_id=str(self.increment), about=about)
        await write(self.store, self.raw, plan, parent=parent)
        await parent.close()

    @property
    def trusted(self) -> Trust:
        return trust_of(platform_fingerprint(self.world.keys))

    async def link(self, backup_id: UUID) -> Link:
        key = await open_envelope(self.store, f"{backup_id}/1", self.world.recipient)
        return Link(store=self.store, prefix=f"{backup_id}/1", archive_key=key)

    async def order(self, backup_id: UUID, *builds_on: UUID) -> RunVerification:
        sums = {
            one: hashlib.sha256(await read_small(self.store, f"{one}/1/manifest")).hexdigest()
            for one in (backup_id, *builds_on)
        }
        order = RunVerification(
            run_id=uuid4(),
            not_after=now() + timedelta(hours=1),
            sealed="",
            restore_id=uuid4(),
            backup_id=backup_id,
            server_id=uuid4(),
            target="shop",
            store_id="store-1",
            prefix=f"{backup_id}/1",
            manifest_sha256=sums[backup_id],
            trusted=platform_fingerprint(self.world.keys),
            chain=[
                ChainPart(backup_id=one, prefix=f"{one}/1", manifest_sha256=sums[one])
                for one in builds_on
            ],
        )
        engine = {"kind": "redis", "host": "127.0.0.1"}
        secrets = OrderSecrets(
            runner={"kind": "local"},
            engine=engine,
            store=self.config,
            archive_key=(await self.link(backup_id)).archive_key,
            chain=[
                ChainSecrets(archive_key=(await self.link(one)).archive_key) for one in builds_on
            ],
        )
        return self.world.sealed(order, secrets)

    async def damage(self, backup_id: UUID, how: str) -> None:
        """As a disk, or whoever owns the bucket, may."""
        path = self.root / str(backup_id) / "1" / "data.0"
        if how == "missing":  # by the store itself: an S3 service may remember what it listed
            await self.store.delete(f"{backup_id}/1/data.0")
            return
        content = path.read_bytes()
        at = len(content) // 2
        flip = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        path.unlink()
        path.write_bytes(flip if how == "flipped" else content[:-1])

    async def corrupted(self) -> list[BackupCorrupted]:
        last = await self.world.bus.last_of("evt.backup.corrupted.*.*")
        return [one.message for one in last if isinstance(one.message, BackupCorrupted)]


@asynccontextmanager
async def shelf(world: World, kind: str, folder: Path) -> AsyncIterator[Shelf]:
    if kind == "local":
        store: Store = Local(root=str(world.store))
        made = Shelf(world, store, {"kind": "local", "root": str(world.store)}, world.store)
        await made.fill()
        yield made
        return
    with rclone_s3(folder / "buckets") as service:
        bucket = service.store()
        made = Shelf(world, bucket, msgspec.to_builtins(bucket), folder / "buckets" / BUCKET)
        await made.fill()
        yield made


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
async def test_damage_is_found_and_said_of_the_backup_that_is_damaged(
    world: World, tmp_path: Path, kind: str, how: str
) -> None:
    async with shelf(world, kind, tmp_path) as shelved, world.executor():
        whole = [
            await shelved.order(shelved.full),
            await shelved.order(shelved.increment, shelved.full),
        ]
        for order in whole:
            await world.bus.append(order)
            ended = await world.ending(order)
            assert isinstance(ended, RestoreCompleted), ended
            assert ended.verified_backup_id == order.backup_id
        assert ended.raw_bytes == len(shelved.raw)
        assert await shelved.corrupted() == []

        first = await shelved.order(shelved.increment, shelved.full)
        second = await shelved.order(shelved.increment, shelved.full)
        third = await shelved.order(shelved.full)
        await shelved.damage(shelved.increment, how)
        await world.bus.append(first)
        of_increment = await world.ending(first)
        assert isinstance(of_increment, RestoreFailed), of_increment
        assert await shelved.corrupted(), of_increment.problem
        (said,) = await shelved.corrupted()
        assert (said.backup_id, said.deep) == (shelved.increment, False)
        assert isinstance(of_increment, RestoreFailed)
        assert of_increment.problem == said.problem

        await shelved.damage(shelved.full, how)
        for order in (second, third):
            await world.bus.append(order)
            assert isinstance(await world.ending(order), RestoreFailed)
        assert {one.backup_id for one in await shelved.corrupted()} == {
            shelved.full,
            shelved.increment,
        }
    assert world.sessions() == []


async def test_damage_of_a_copy_is_said_of_the_copy_and_not_of_the_backup(
    world: World, tmp_path: Path
) -> None:
    async with shelf(world, "local", tmp_path) as shelved, world.executor():
        order = await shelved.order(shelved.increment, shelved.full)
        copied = [msgspec.structs.replace(order.chain[0], copy_in="far")]
        order = msgspec.structs.replace(order, copy_in=order.store_id, chain=copied)
        await shelved.damage(shelved.full, "flipped")

        await world.bus.append(order)
        assert isinstance(await world.ending(order), RestoreFailed)

        assert await shelved.corrupted() == []
        (said,) = await world.bus.last_of("evt.archive.corrupted.*.*")
        assert isinstance(said.message, ArchiveCorrupted)
        assert said.message.archive_id == archive_id(shelved.full, "far")
        assert (said.message.backup_id, said.message.store_id) == (shelved.full, "far")


async def test_a_key_that_opens_nothing_is_damage_that_no_hash_shows(
    world: World, tmp_path: Path
) -> None:
    async with shelf(world, "local", tmp_path) as shelved, world.executor():
        order = await shelved.order(shelved.full)
        secrets = OrderSecrets(
            runner={"kind": "local"},
            engine={"kind": "redis", "host": "127.0.0.1"},
            store=shelved.config,
            archive_key=bytes(32),
        )
        order = world.sealed(order, secrets)
        await world.bus.append(order)
        assert isinstance(await world.ending(order), RestoreFailed)
        (said,) = await shelved.corrupted()
        assert (said.deep, said.problem.code) == (True, "archive.wrong_key")


async def test_an_empty_place_is_not_mounted_and_nothing_is_said_of_its_backups(
    world: World, tmp_path: Path
) -> None:
    async with shelf(world, "local", tmp_path) as shelved, world.executor():
        order = await shelved.order(shelved.full)
        world.store.rename(world.store.with_name("elsewhere"))
        world.store.mkdir()
        await world.bus.append(order)
        ended = await world.ending(order)
        assert isinstance(ended, RestoreFailed)
        assert ended.problem.code == "store.unreachable"
        assert await shelved.corrupted() == []
