"""`evaluate`: the report of a model on the validation rows, before and after post-processing."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlcore.cli.data import load_data
from mlcore.cli.opening import check_target, embed_rows, open_model, shared_labels, write_json
from mlcore.cli.screen import Screen
from mlcore.config.postprocess import Postprocess, SNorm, ZNorm, parse
from mlcore.errors import InputError
from mlcore.evaluate import FULL, Extras, Report, evaluate
from mlcore.postprocess import evaluate_with
from mlcore.postprocess.evaluate import BEFORE
from mlcore.table.guard import check_shared_files

SHOWN = ("cmc@1", "precision@5", "map@5", "map@r")
NO_EXTRAS = Extras()
ROUNDING = 1e-9  # of a mean in float64
Chains = dict[str, tuple[Postprocess, ...]]


def run_evaluate(arguments: argparse.Namespace, screen: Screen) -> int:
    chains = parse_chains(arguments.postprocess)
    check_target(arguments.out)
    embedder = open_model(arguments)
    shared = shared_labels(arguments)
    manifest, source = load_data(arguments.data, screen.say, screen.bar("import"), shared_labels=shared)
    rows = validation_rows(manifest)
    train = manifest[manifest["split"] == "train"].reset_index(drop=True)
    for problem in check_shared_files(train, rows):  # a model that learned from this table's train rows knows them
        screen.say(f"warning: {problem}")
    embeddings = embed_rows(embedder, rows, source, arguments, screen)
    cohort = None
    if len(train) and any(isinstance(step, ZNorm | SNorm) for steps in chains.values() for step in steps):
        cohort = embed_rows(embedder, train, source, arguments, screen, "cohort")
    extras = FULL if arguments.extras else NO_EXTRAS
    report = measure(embeddings, rows, screen, extras)
    after: dict[str, Report] = {}
    if chains:
        screen.wait(f"post-processing {report.counts['queries']} queries")
        after = evaluate_with(embeddings, rows, chains, cohort=cohort, bootstrap=extras.bootstrap)
        screen.clear()
        del after[BEFORE]
    content = report.to_json()
    if arguments.closed_set:
        content |= closed_set(train, rows)
    if after:
        content["postprocess"] = {text: each.to_json() for text, each in after.items()}
    if arguments.out:
        write_json(arguments.out, content)
    if arguments.json:
        print(json.dumps(content))
    else:
        print_report(report, after)
        print_closed_set(content)
    return 0


def parse_chains(texts: Sequence[str]) -> Chains:
    """Chains by their texts. Raises InputError that lists the faults of all of them."""
    chains: Chains = {}
    problems: list[str] = []
    for text in texts:
        try:
            chains[text.strip()] = parse(text)
            if not chains[text.strip()]:
                problems.append(f"{text!r} names no step. Write one, for example rerank:k1=20,k2=6.")
        except InputError as error:
            problems += [f"{text}: {problem}" for problem in error.problems or [error.message]]
    if problems:
        raise InputError("The post-processing is not valid.", problems)
    return chains


def closed_set(train: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """What a report states of `rows` some of whose labels train too, where that was chosen."""
    both = set(train["label"]) & set(rows["label"])
    return {"closed_set": True, "labels_in_both_splits": len(both)}


def print_closed_set(content: Mapping[str, Any]) -> None:
    """What `closed_set` added to a report, in words."""
    if content.get("closed_set"):
        print(f"closed set: {content['labels_in_both_splits']} labels of these figures are in both splits")


def validation_rows(manifest: pd.DataFrame) -> pd.DataFrame:
    """Raises InputError where there are none to measure."""
    rows = manifest[manifest["split"] == "validation"].reset_index(drop=True)
    if rows.empty:
        raise InputError("There are no validation rows to evaluate. Set split and flags on some labels.")
    return rows


def measure(
    embeddings: NDArray[np.float32], rows: pd.DataFrame, screen: Screen, extras: Extras | None = None
) -> Report:
    screen.wait(f"evaluating {int(rows['is_query'].sum())} queries")
    report = evaluate(embeddings, rows, extras=extras or NO_EXTRAS)
    screen.clear()
    return report


def print_report(report: Report, after: Mapping[str, Report] | None = None) -> None:
    """The figures, with those after each chain beside them and what it changed; then what else was asked for."""
    after = after or {}
    width = 26 if after and report.intervals else 6  # an interval stands beside the figure that it is of
    if after:
        print(f"{'':14} {'before':{width}}  " + "  ".join(f"{text:>15}" for text in after))
    for name, value in report.overall.items():
        cells = [f"{f'{value:.4f}{interval_text(report, name)}':{width}}"]
        for text, each in after.items():
            found = each.overall[name]
            cells.append(f"{f'{found:.4f} {found - value:+.4f}':>{max(15, len(text))}}")
        print(f"{name:14} {'  '.join(cells)}")
    print_extras(report)
    print(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in report.counts.items()))


def print_extras(report: Report) -> None:
    for point in report.verification.points if report.verification else []:
        threshold = f"at cosine distance {point.threshold:.4f}" if np.isfinite(point.threshold) else "at any distance"
        print(f"{point.name:14} {point.fnmr:.4f}{interval_text(report, point.name)}  {threshold}")
    for name, value in report.pcf.items():
        print(f"{name:14} {value:.4f}")
    if report.verification:
        print("fnmr@f: share of the pairs of one label taken for two, with at most f of those of two taken for one")
    if report.pcf:
        print("pcf@v: share of the dimensions that explain v of the variance")
    if report.intervals:
        print("(low to high): 95 % interval, were other queries of the same labels asked")


def interval_text(report: Report, name: str) -> str:
    """The confidence interval of a figure; none where all queries gave the same, for then draws cannot differ."""
    low, high = report.intervals.get(name) or (0.0, 0.0)
    return f"  ({low:.4f} to {high:.4f})" if high - low > ROUNDING else ""
