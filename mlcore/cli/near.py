"""`check --near`: photos across the splits, or across query and gallery, that are one photo but for small changes."""

import argparse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd

from mlcore.cli.data import FolderSource, manifest_of
from mlcore.cli.opening import UNTRAINED, cache_dir, embed_rows, open_device
from mlcore.cli.screen import Screen
from mlcore.config import Preprocess
from mlcore.data import Photos, open_cache
from mlcore.model import ready_model
from mlcore.near import AGREEMENT, Pairs, confirmed, near_pairs
from mlcore.table import Problem, capped
from mlcore.table.problem import shown
from mlcore.table.read import row_numbers


def check_near(table: pd.DataFrame, root: Path, arguments: argparse.Namespace, screen: Screen) -> list[Problem]:
    """Warnings of near-duplicates in a table without errors, most alike first."""
    embedder = ready_model(UNTRAINED, Preprocess(), open_device(arguments.device))
    manifest, source = manifest_of(table, root, screen.bar("import")), FolderSource(root)
    pairs = near_pairs(embed_rows(embedder, manifest, source, arguments, screen), manifest)
    cache = open_cache(cache_dir(arguments.cache), embedder.preprocess, screen.say)
    with closing(Photos(manifest, source, embedder.preprocess, workers=arguments.workers, cache=cache)) as photos:
        pairs = confirmed(pairs, photos.squares, arguments.threshold or AGREEMENT, screen.bar("compare"))
    return capped(told(pairs, manifest, row_numbers(table)))


def told(pairs: Pairs, manifest: pd.DataFrame, numbers: list[int]) -> Iterator[Problem]:
    """numbers: the row of the table of each row of the manifest."""
    paths, labels, splits = (manifest[name].tolist() for name in ("path", "label", "split"))
    for first, second, similarity in zip(*(column.tolist() for column in pairs), strict=True):
        leaked = splits[first] != splits[second]
        text = f"{shown(paths[second])} is nearly the photo {shown(paths[first])}, row {numbers[first]}, "
        text += f"of the {'other' if leaked else 'same'} split"
        text += "" if labels[first] == labels[second] else f", under the label {shown(labels[first])}"
        remedy = "Put both into one split, or remove one." if leaked else "Give both one sequence, or remove one."
        text += f": similarity {similarity:.3f}."
        yield Problem(numbers[second], "path", text, remedy, "warning")
