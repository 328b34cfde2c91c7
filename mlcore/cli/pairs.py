"""`pairs`: a pair head for the embeddings of one model, which `evaluate --postprocess pairs:weights=FILE` takes."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlcore.cli.commands import spare_model
from mlcore.cli.data import load_data
from mlcore.cli.opening import check_target, embed_rows, model_folder, open_model
from mlcore.cli.recipes import Origins, fault_text, set_all
from mlcore.cli.screen import Screen
from mlcore.config.faults import instead, worded
from mlcore.config.postprocess import PairHeadConfig
from mlcore.errors import InputError
from mlcore.export import whole
from mlcore.matches import manifest_rows
from mlcore.postprocess import save_head, train_pair_head
from mlcore.postprocess.mining import label_folds

HELP = "train a head that re-ranks a model's first neighbours"
ADVICE = """It learns from the train rows of --data. Best is a table with labels that the model never saw: an extractor
ranks the labels that it trained on better than those to come."""
DEFAULTS = ", ".join(f"{name}={value}" for name, value in PairHeadConfig().model_dump().items())


def add_pairs(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", parents: list[argparse.ArgumentParser]
) -> None:
    parser = commands.add_parser("pairs", parents=parents, help=HELP, description=f"{HELP.capitalize()}. {ADVICE}")
    out = "the file of the head, for evaluate --postprocess pairs:weights=FILE"
    parser.add_argument("--out", type=Path, required=True, help=out)
    changes = f"as head=concat; repeatable. Without: {DEFAULTS}"
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help=changes)
    parser.set_defaults(run=run_pairs)


def run_pairs(arguments: argparse.Namespace, screen: Screen) -> int:
    """Trains on the train rows. A label that validates too does no harm here; `evaluate` will ask about it."""
    config = head_config(arguments.changes)
    check_target(arguments.out)
    spare_model(model_folder(arguments.model), arguments.out)
    embedder = open_model(arguments)
    manifest, source = load_data(arguments.data, screen.say, screen.bar("import"), shared_labels="warning")
    train = manifest[manifest["split"] == "train"].reset_index(drop=True)
    if train.empty:
        raise InputError(f"{arguments.data} has no train rows to learn from. Set split to train on some labels.")
    rows = manifest_rows(train)
    label_folds(rows, config)  # raises for too few, before they are embedded
    embeddings = embed_rows(embedder, train, source, arguments, screen)
    screen.wait("training a pair head")
    trained = train_pair_head(embeddings, rows, config)
    screen.clear()
    with whole(arguments.out) as partial:
        save_head(trained.head, partial)
    facts = {"steps": trained.steps, "before": trained.before, "after": trained.after}
    print(json.dumps(facts) if arguments.json else f"{arguments.out}: {trained}")
    return 0


def head_config(changes: Sequence[str]) -> PairHeadConfig:
    """The defaults with changes: `key=value`, the value in YAML. Raises InputError that lists every faulty one."""
    tree: dict[str, Any] = {}
    origins: Origins = {}
    set_all(tree, origins, changes, example="head=concat")
    try:
        return PairHeadConfig.model_validate(tree)
    except ValidationError as error:
        faults = [worded(each, tuple(map(str, each["loc"])), tree) for each in error.errors()]
        keys = list(PairHeadConfig.model_fields)  # `worded` proposes those of a recipe
        faults = [fault if fault.key in keys else replace(fault, remedy=instead(fault.key, keys)) for fault in faults]
        raise InputError("The pair head is not valid.", [fault_text(fault, origins) for fault in faults]) from None
