"""Redis and its relatives: a snapshot over the replication protocol, restored key by key."""

from services.executor.engines.redis.engine import Redis

__all__ = ["Redis"]
