"""A batch dealt out to the processes of a distributed training."""

from mlcore.samplers.groups import Batch


def shard(batch: Batch, rank: int, world: int) -> Batch:
    """The rows that process `rank` of `world` takes of a batch.

    Guarantees: the shards of all ranks, one after another, are the batch. Their sizes are equal if `world` divides the
    batch, and differ by one row at most if not, the first ranks having more. Where `world` divides the number of
    labels of a balanced batch, each rank has whole labels. Raises ValueError for a rank that is not in the world.
    """
    if not 0 <= rank < world:
        raise ValueError(f"Rank {rank} is not one of the {world} processes, 0 to {world - 1}.")
    size, more = divmod(len(batch), world)
    start = rank * size + min(rank, more)
    return batch[start : start + size + (rank < more)]
