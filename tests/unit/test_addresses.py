"""Which addresses are connected to when somebody else says where."""

from __future__ import annotations

import pytest

from shared.addresses import permitted

INNER = [
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "fd12::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::1",
]
LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
NEVER = [
    "169.254.169.254",
    "169.254.7.7",
    "fe80::1%eth0",
    "100.100.100.200",
    "192.0.0.192",
    "::ffff:169.254.169.254",
    "fd00:ec2::254",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "::127.0.0.1",
]
OUTER = ["1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", OUTER)
def test_public_addresses_are_used(address: str) -> None:
    assert permitted(address, allow_private=False, allow_loopback=False)


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_need_the_channels_word(address: str) -> None:
    assert not permitted(address, allow_private=False, allow_loopback=True)
    assert permitted(address, allow_private=True, allow_loopback=False)


@pytest.mark.parametrize("address", LOOPBACK)
def test_the_own_machine_is_used_only_where_everything_runs_on_it(address: str) -> None:
    assert not permitted(address, allow_private=False, allow_loopback=False)
    assert not permitted(address, allow_private=True, allow_loopback=False)
    assert permitted(address, allow_private=False, allow_loopback=True)


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_used(address: str) -> None:
    assert not permitted(address, allow_private=True, allow_loopback=True)
