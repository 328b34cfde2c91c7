"""`search`: the nearest photos of a gallery for photos that need not be in it."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlcore.cli.data import load_gallery
from mlcore.cli.opening import embed_rows, open_model
from mlcore.cli.screen import Screen
from mlcore.errors import InputError
from mlcore.images import ImageProblem
from mlcore.index import build_index
from mlcore.model import Embedder
from mlcore.table import BOX

BATCH = 64


def run_search(arguments: argparse.Namespace, screen: Screen) -> int:
    """Prints each photo's neighbours, best first. One that is in the gallery finds itself."""
    embedder = open_model(arguments)
    squares = read_images(embedder, arguments.images)
    gallery, source = load_gallery(arguments.gallery, screen.bar("import"))
    queries = np.concatenate(
        [embedder.embed_batch(torch.stack(squares[at : at + BATCH])) for at in range(0, len(squares), BATCH)]
    )
    embeddings = embed_rows(embedder, gallery, source, arguments, screen)
    found = neighbours(queries, embeddings, gallery, source.root, arguments.top, embedder.space)
    if arguments.json:
        lists = [{"image": str(path), "neighbours": each} for path, each in zip(arguments.images, found, strict=True)]
        print(json.dumps({"space": embedder.space, "gallery": len(gallery), "queries": lists}))
        return 0
    for path, each in zip(arguments.images, found, strict=True):
        print(path)
        for near in each:
            box = f"  box {', '.join(map(str, near['box']))}" if near["box"] else ""
            print(f"{near['rank']:>4}  {near['score']:.4f}  {near['label'] or '-'}  {near['path']}{box}")
    return 0


def read_images(embedder: Embedder, paths: Sequence[Path]) -> list[Tensor]:
    """Each photo as the network takes it. Raises InputError that names every one that is missing or damaged."""
    squares, problems = [], []
    for path in paths:
        try:
            squares.append(embedder.preprocess.read(path.read_bytes()))
        except FileNotFoundError:
            problems.append(f"{path} is not there. Check the name.")
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror or error}. Name a photo.")
        except ImageProblem as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise InputError(f"{len(problems)} of {len(paths)} photos cannot be searched for.", problems)
    return squares


def neighbours(
    queries: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    gallery: pd.DataFrame,
    root: Path,
    top: int,
    space: str,
) -> list[list[dict[str, Any]]]:
    """For each query of `(Q, D)` the `top` nearest of `(G, D)`. `score`: cosine similarity, at most 1."""
    index = build_index("flat", embeddings, gallery["sample_id"].to_numpy(), space)
    ids, scores = index.search(queries, top, space=space)
    rows = gallery.set_index("sample_id")
    lists = []
    for query_ids, query_scores in zip(ids.tolist(), scores.tolist(), strict=True):
        found = [(rows.loc[at], score) for at, score in zip(query_ids, query_scores, strict=True) if at >= 0]
        lists.append([described(rank, row, score, root) for rank, (row, score) in enumerate(found, start=1)])
    return lists


def described(rank: int, row: pd.Series, score: float, root: Path) -> dict[str, Any]:
    return {
        "rank": rank,
        "score": round(score, 6),
        "label": row["label"] or None,
        "category": None if pd.isna(row["category"]) else row["category"],
        "path": str(root / row["path"]),
        "box": None if pd.isna(row["x_1"]) else [int(row[name]) for name in BOX],
    }
