"""Which shard an account belongs to."""

import zlib

HOUSE = "HOUSE"
"""The firm's own account; ids that begin with it are house accounts too."""


def shard_of(account: str, shards: int) -> int:
    """Stable hash of the account id (CRC-32); house accounts are in shard 0."""
    return 0 if account.startswith(HOUSE) else zlib.crc32(account.encode()) % shards
