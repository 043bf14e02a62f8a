"""What several contracts of stores are held against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.s3 import S3Service, make_bucket, moto_s3


@pytest.fixture(scope="module")
def moto_service() -> Iterator[S3Service]:
    with moto_s3() as service:
        yield service


@pytest.fixture
async def moto(moto_service: S3Service) -> S3Service:
    """With its bucket, whatever the test before did to it."""
    await make_bucket(moto_service)
    return moto_service
