"""The bank against a list that is kept by hand."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from mlcore.candidates import batch_candidates
from mlcore.config import MemoryBank
from mlcore.miners import HardMiner, Memory
from tests.mlcore.miners.cases import quick

Batch = tuple[Tensor, Tensor, Tensor]


def batches(sizes: list[int], *, labels: int = 3, photos: int = 6, seed: int = 0) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(seed)
    for size in sizes:
        embeddings = F.normalize(torch.randn(size, 4, generator=generator))
        yield (
            embeddings,
            torch.randint(labels, (size,), generator=generator),
            torch.randint(photos, (size,), generator=generator),
        )


def rows(embeddings: Tensor, *numbers: Tensor) -> list[tuple[object, ...]]:
    """One tuple per row, to compare as sets: the bank promises no order."""
    return [(*vector, *rest) for vector, *rest in zip(embeddings.tolist(), *(n.tolist() for n in numbers), strict=True)]


@quick
@given(
    st.lists(st.integers(0, 9), max_size=8),
    st.integers(1, 12),
    st.integers(0, 4),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_references_are_the_batch_and_the_fresh_part_of_the_past(
    sizes: list[int], size: int, start_step: int, max_age: int, seed: int
) -> None:
    memory = Memory(MemoryBank(size=size, start_step=start_step, max_age=max_age), dimension=4)
    past: list[tuple[int, Batch]] = []  # one entry per embedding: the step, and the row as a batch of one
    for step, (embeddings, labels, photos) in enumerate(batches(sizes, seed=seed)):
        candidates = memory.candidates(embeddings, labels, photos)
        fresh = [row for stored_at, row in past[-size:] if step - stored_at <= max_age and step >= start_step]
        count = len(embeddings)
        assert torch.equal(candidates.anchors, embeddings)
        assert torch.equal(candidates.references[:count], embeddings)
        assert torch.equal(candidates.reference_labels[:count], labels)
        joined = rows(candidates.references[count:], candidates.reference_labels[count:])
        assert sorted(joined) == sorted(rows(vector, label)[0] for vector, label, _ in fresh)
        for reference in range(len(candidates.references)):
            vector, label = candidates.references[reference], candidates.reference_labels[reference]
            photo_choices = [  # photos of the entries that look like this one
                photo
                for other, other_label, photo in [*single_rows(embeddings, labels, photos), *fresh]
                if torch.equal(other[0], vector) and other_label == label
            ]
            assert len(photo_choices) == 1  # random vectors do not repeat
            for anchor in range(count):
                same_label, same_photo = labels[anchor] == label, photos[anchor] == photo_choices[0]
                assert candidates.positives[anchor, reference] == (same_label and not same_photo)
                assert candidates.negatives[anchor, reference] == (not same_label)
        memory.store(embeddings, labels, photos)
        past += [(step, row) for row in single_rows(embeddings, labels, photos)]


def single_rows(embeddings: Tensor, labels: Tensor, photos: Tensor) -> list[Batch]:
    return [(embeddings[i : i + 1], labels[i : i + 1], photos[i : i + 1]) for i in range(len(labels))]


def test_unfilled_slots_never_join() -> None:
    memory = Memory(MemoryBank(size=100), dimension=4)
    first, second = batches([3, 5])
    assert len(memory.candidates(*first).references) == 3
    memory.store(*first)
    assert len(memory.candidates(*second).references) == 5 + 3


def test_an_earlier_embedding_of_the_same_photo_is_neither_positive_nor_negative() -> None:
    memory = Memory(MemoryBank(), dimension=2)
    labels, photos = torch.tensor([0, 0, 1]), torch.tensor([5, 6, 7])
    memory.store(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), labels, photos)
    candidates = memory.candidates(torch.tensor([[0.6, 0.8]]), torch.tensor([0]), torch.tensor([5]))
    assert candidates.positives.tolist() == [[False, False, True, False]]
    assert candidates.negatives.tolist() == [[False, False, False, True]]


def test_a_resumed_bank_is_the_same_bank() -> None:
    config = MemoryBank(size=7, max_age=2)
    stream = list(batches([4, 2, 5, 4, 4]))
    memory, resumed = Memory(config, 4), Memory(config, 4)
    for batch in stream[:3]:
        memory.store(*batch)
    resumed.load_state_dict(memory.state_dict())
    for batch in stream[3:]:
        one, other = memory.candidates(*batch), resumed.candidates(*batch)
        assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in vars(one))
        memory.store(*batch)
        resumed.store(*batch)


def test_the_past_has_no_gradient_and_storing_before_backward_does_no_harm() -> None:
    memory = Memory(MemoryBank(size=4), dimension=4)
    first, second = batches([4, 4], labels=2)
    memory.store(first[0].requires_grad_(), *first[1:])
    anchors = second[0].requires_grad_()
    candidates = memory.candidates(anchors, *second[1:])
    value = (candidates.anchors @ candidates.references.T).square().sum()
    memory.store(anchors, *second[1:])
    value.backward()
    expected = (anchors @ torch.cat([anchors, first[0].detach()]).T).square().sum()
    assert torch.equal(anchors.grad, torch.autograd.grad(expected, anchors)[0])
    assert first[0].grad is None
    assert not any(buffer.requires_grad for buffer in memory.buffers())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_kept_in_float32(dtype: torch.dtype) -> None:
    memory = Memory(MemoryBank(size=4), dimension=4)
    embeddings, labels, photos = next(batches([4]))
    memory.store(embeddings.to(dtype), labels, photos)
    candidates = memory.candidates(embeddings.to(dtype), labels, photos)
    assert candidates.anchors.dtype == candidates.references.dtype == torch.float32
    assert torch.equal(candidates.references[4:], embeddings.to(dtype).float())


def test_a_miner_of_triplets_reaches_into_past_batches() -> None:
    memory = Memory(MemoryBank(), dimension=2)
    memory.store(F.normalize(torch.tensor([[1.0, 0.1], [-1.0, -0.1]])), torch.tensor([1, 0]), torch.tensor([0, 1]))
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    labels, photos = torch.tensor([0, 0, 1]), torch.tensor([2, 3, 4])
    candidates = memory.candidates(embeddings, labels, photos)
    distances = torch.cdist(candidates.anchors, candidates.references)
    assert torch.stack(HardMiner().triplets(distances, candidates)).T.tolist() == [[0, 4, 3], [1, 4, 3], [2, 3, 4]]
    alone = batch_candidates(embeddings, labels, photos)
    assert torch.stack(HardMiner().triplets(distances[:, :3], alone)).T.tolist() == [[0, 1, 2], [1, 0, 2]]
