"""The arguments, and the one place where errors become exit codes: 0, or 2 with every problem listed."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mlcore.cli.commands import run_check, run_embed, run_evaluate, run_train
from mlcore.config import PRESETS
from mlcore.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except InputError as error:
        if arguments.json:
            print(json.dumps({"error": error.message, "problems": error.problems}), flush=True)
        print(error, file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mlcore", description="Metric learning on plain folders.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON lines, for machines")
    on_data = argparse.ArgumentParser(add_help=False, parents=[common])
    on_data.add_argument("--data", type=Path, required=True, help="a table beside its images, or a folder per label")
    on_data.add_argument("--workers", type=int, default=0, help="processes that read images; 0 chooses")
    on_data.add_argument("--device", help="cpu, cuda, cuda:1; the default is a GPU if there is one")

    check = commands.add_parser("check", parents=[common], help="list every fault of a table and its photos")
    check.add_argument("data", type=Path, help="a table beside its images, or a folder per label")
    check.set_defaults(run=run_check)

    train = commands.add_parser("train", parents=[on_data], help="train a recipe")
    train.add_argument("--recipe", default="quick", help=f"a YAML file, or one of: {', '.join(PRESETS)}")
    train.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="as loss.margin=0.1"
    )
    train.add_argument("--out", type=Path, required=True, help="the folder for checkpoints, model and report.json")
    train.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out")
    train.set_defaults(run=run_train)

    evaluate = commands.add_parser("evaluate", parents=[on_data], help="report how well a model retrieves")
    evaluate.add_argument("model", type=Path, help="a folder with config.json and weights.safetensors")
    evaluate.add_argument("--out", type=Path, help="where to write report.json")
    evaluate.set_defaults(run=run_evaluate)

    embed = commands.add_parser("embed", parents=[on_data], help="embed every row of a table")
    embed.add_argument("model", type=Path, help="a folder with config.json and weights.safetensors")
    embed.add_argument("--out", type=Path, required=True, help="the .npy file, (N, D) float32 in the table's order")
    embed.set_defaults(run=run_embed)
    return parser
