"""Exclusions and counts of matches against naive loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore import matches
from mlcore.matches import Gallery, Rows


def draw_rows(rng: np.random.Generator, count: int) -> Rows:
    return Rows(
        ids=rng.permutation(60)[:count],
        labels=rng.integers(-1, 3, count),
        photos=rng.integers(-2, 30, count),
        sequences=rng.integers(-2, 4, count),
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 20), st.integers(0, 20))
def test_equals_the_naive_loops(seed: int, queries: int, gallery: int) -> None:
    rng = np.random.default_rng(seed)
    q, g = draw_rows(rng, queries), draw_rows(rng, gallery)
    pairs, relevant = set(), [0] * queries
    for i in range(queries):
        for j in range(gallery):
            same_photo = q.photos[i] >= 0 and q.photos[i] == g.photos[j]
            same_burst = q.sequences[i] >= 0 and q.sequences[i] == g.sequences[j]
            if q.ids[i] == g.ids[j] or same_photo or same_burst:
                pairs.add((i, j))
            elif q.labels[i] >= 0 and q.labels[i] == g.labels[j]:
                relevant[i] += 1
    rows, positions = Gallery(g).excluded(q)
    assert list(zip(rows.tolist(), positions.tolist(), strict=True)) == sorted(pairs)
    assert Gallery(g).relevant(q).tolist() == relevant


def test_many_queries_are_counted_in_pieces() -> None:
    rows = draw_rows(np.random.default_rng(0), 60)
    many = Rows(*(np.tile(column, 40) for column in (rows.ids, rows.labels, rows.photos, rows.sequences)))
    assert len(many) > 2 * matches.QUERIES_AT_ONCE
    gallery = Gallery(rows)
    assert gallery.relevant(many).tolist() == gallery.relevant(rows).tolist() * 40
