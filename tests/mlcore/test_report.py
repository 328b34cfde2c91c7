"""A report's queries: a sequence made as it is read, and compared by what it holds."""

from dataclasses import replace

import numpy as np
import pytest

from mlcore.report import Neighbour, Queries, QueryReport, Report


@pytest.fixture
def queries() -> Queries:
    return Queries(
        sample_ids=np.array([7, 8, 9]),
        relevant=np.array([2, 0, 1]),
        first_hit_ranks=np.array([1, 0, 0]),
        figures={"map@r": np.array([0.5, np.nan, 0.0])},
        neighbours=np.array([[8, 9], [7, -1], [-1, -1]]),
        distances=np.array([[-1e-8, 0.5], [0.25, np.inf], [np.inf, np.inf]]),
        hits=np.array([[True, False], [False, False], [False, False]]),
    )


def test_reads_as_a_list(queries: Queries) -> None:
    expected = [
        QueryReport(7, 0.5, 1, [Neighbour(8, 0.0, True), Neighbour(9, 0.5, False)]),  # no distance below 0
        QueryReport(8, None, None, [Neighbour(7, 0.25, False)]),
        QueryReport(9, 0.0, None, []),
    ]
    assert list(queries) == expected
    assert (len(queries), queries[-1], queries[1:]) == (3, expected[2], expected[1:])
    with pytest.raises(IndexError):
        queries[3]
    first = queries[0]
    assert [type(value) for value in (first.sample_id, first.average_precision, first.neighbours[0].hit)] == [
        int,
        float,
        bool,
    ]


def test_equal_when_all_they_hold_is(queries: Queries) -> None:
    assert queries == replace(queries, figures={"map@r": np.array([0.5, np.nan, 0.0])})
    assert queries != replace(queries, figures={"map@r": np.array([0.5, np.nan, 0.1])})
    assert queries != replace(queries, neighbours=np.array([[8, 9], [7, -1], [-1, 7]]))
    assert queries != list(queries)


def test_the_worst_have_a_match(queries: Queries) -> None:
    report = Report(overall={}, categories=[], counts={}, queries=queries)
    assert [query.sample_id for query in report.worst()] == [9, 7]
