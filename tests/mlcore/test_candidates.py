"""Which rows of a batch are positives and negatives of each other."""

import torch

from mlcore.candidates import batch_candidates, pair_masks


def test_an_anchor_and_its_copies_are_no_positives() -> None:
    positives, negatives = pair_masks(torch.tensor([0, 0, 0, 1]), torch.tensor([5, 5, 6, 7]))
    assert positives.nonzero().tolist() == [[0, 2], [1, 2], [2, 0], [2, 1]]
    assert negatives.nonzero().tolist() == [[0, 3], [1, 3], [2, 3], [3, 0], [3, 1], [3, 2]]


def test_masks_against_other_rows_are_anchors_by_others() -> None:
    positives, negatives = pair_masks(
        torch.tensor([0, 1]), torch.tensor([5, 6]), torch.tensor([1, 1, 0]), torch.tensor([6, 7, 8])
    )
    assert positives.tolist() == [[False, False, True], [False, True, False]]
    assert negatives.tolist() == [[True, True, False], [False, False, True]]


def test_a_batch_is_compared_with_itself_in_float32() -> None:
    embeddings = torch.eye(2, dtype=torch.bfloat16)
    candidates = batch_candidates(embeddings, torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert candidates.anchors.dtype == torch.float32
    assert candidates.anchors is candidates.references
    assert candidates.anchor_labels.tolist() == candidates.reference_labels.tolist() == [0, 1]
