"""The arguments, and the one place where errors become exit codes: 0, or 2 with every problem listed."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mlcore.cli.commands import run_check, run_embed, run_export, run_recipe
from mlcore.cli.convert import add_convert
from mlcore.cli.evaluation import run_evaluate
from mlcore.cli.pairs import add_pairs
from mlcore.cli.recipes import NAMED
from mlcore.cli.screen import Screen
from mlcore.cli.search import run_search
from mlcore.cli.training import run_train
from mlcore.config.postprocess import STEPS
from mlcore.errors import InputError
from mlcore.export import FORMATS
from mlcore.loggers import LOGGERS
from mlcore.near import AGREEMENT

INTERRUPTED = 130  # what shells report of a command that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    screen = Screen(bars=not arguments.json)
    try:
        return int(arguments.run(arguments, screen))
    except InputError as error:
        return refusal(error, arguments, screen)
    except BrokenPipeError:  # whoever read the results has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        return refusal(InputError(f"{error.filename}: {error.strerror}."), arguments, screen)
    except KeyboardInterrupt:
        screen.say("Stopped.")
        return INTERRUPTED


def refusal(error: InputError, arguments: argparse.Namespace, screen: Screen) -> int:
    if arguments.json:
        print(json.dumps({"error": error.message, "problems": error.problems}), flush=True)
    screen.say(str(error))
    return 2


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mlcore", description="Metric learning on plain folders.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON lines, for machines; no bars")
    working = argparse.ArgumentParser(add_help=False, parents=[common])
    working.add_argument("--workers", type=count, default=0, help="threads that decode photos; 0 chooses")
    working.add_argument("--device", help="cpu, cuda, cuda:1; the default is a GPU if there is one")
    working.add_argument(
        "--cache", metavar="DIR|none", help="where decoded photos are kept; by default below the user's cache folder"
    )
    on_data = argparse.ArgumentParser(add_help=False, parents=[working])
    on_data.add_argument("--data", type=Path, required=True, help="a table beside its images, or a folder per label")
    on_model = argparse.ArgumentParser(add_help=False)
    on_model.add_argument(
        "model",
        metavar="MODEL_DIR",
        type=Path,
        help="a folder with config.json and weights, or that of a training; colour_gradient needs no training, nor do "
        "the weights of the catalogue, such as vit_s_14_dinov2",
    )
    changed = argparse.ArgumentParser(add_help=False)
    changed.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="as loss.margin=0.1; repeatable"
    )

    closed = argparse.ArgumentParser(add_help=False)
    closed.add_argument(
        "--closed-set", action="store_true", help="take labels that are in both splits, which the report then states"
    )

    check = commands.add_parser("check", parents=[working, closed], help="list every fault of a table and its photos")
    check.add_argument("data", type=Path, help="a table beside its images, or a folder per label")
    near = "look for near-duplicates too: resized, re-encoded or slightly cropped photos across the splits, or across "
    check.add_argument("--near", action="store_true", help=near + "query and gallery (--workers, --device, --cache)")
    agreed = f"with --near: how far two photos must agree, above 0 and at most 1; {AGREEMENT} by default"
    check.add_argument("--threshold", type=share, metavar="X", help=agreed)
    check.set_defaults(run=run_check)

    add_convert(commands, common)

    recipe = commands.add_parser("recipe", parents=[common, changed], help="print a recipe as YAML with explanations")
    recipe.add_argument("name", nargs="?", help=f"a YAML file, or one of: {', '.join(NAMED)}; none lists these")
    recipe.set_defaults(run=run_recipe)

    train = commands.add_parser("train", parents=[on_data, changed, closed], help="train a recipe")
    train.add_argument("--recipe", default="quick", help=f"a YAML file, or one of: {', '.join(NAMED)}")
    train.add_argument("--out", type=Path, required=True, help="the folder for checkpoints, model and report.json")
    train.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out")
    train.add_argument(
        "--validate",
        action="append",
        default=[],
        metavar="NAME=TABLE",
        help="validate on the validation rows of this table too; repeatable, and best_metric may be sets/NAME/cmc@1",
    )
    there_too = "figures there too; repeatable (torchrun takes --log for its own: say --logger)"
    train.add_argument("--log", "--logger", action="append", default=[], choices=LOGGERS, help=there_too)
    train.set_defaults(run=run_train)

    evaluate = commands.add_parser(
        "evaluate",
        parents=[on_data, on_model, closed],
        help="report how well a model retrieves",
        description="Report how well a model retrieves, on the validation rows. All figures are shares, 0 to 1. Those "
        "by category stand in --out and --json.",
    )
    evaluate.add_argument(
        "--postprocess",
        action="append",
        default=[],
        metavar="STEPS",
        help=f"as rerank:k1=20,k2=6 or dba+qe:k=5; repeatable, each beside the figures without; of {', '.join(STEPS)}",
    )
    evaluate.add_argument(
        "--extras",
        action="store_true",
        help="too: FNMR at wanted FMRs (verification), 95%% confidence intervals, PCF (use of the dimensions)",
    )
    evaluate.add_argument("--out", type=Path, help="where to write report.json")
    evaluate.set_defaults(run=run_evaluate)

    add_pairs(commands, [on_data, on_model])

    embed = commands.add_parser("embed", parents=[on_data, on_model], help="embed every row of a table")
    out = "the .npy file, (N, D) float32 in the table's order; beside it, .rows.csv tells the photo of each row"
    embed.add_argument("--out", type=Path, required=True, help=out)
    embed.set_defaults(run=run_embed)

    like = "find the photos most like others"
    shown = f"{like.capitalize()}: rank, score (cosine similarity, at most 1), label and file of each."
    search = commands.add_parser("search", parents=[working, on_model], help=like, description=shown)
    search.add_argument(
        "--gallery",
        type=Path,
        required=True,
        help="a folder, or a table (path is enough): its is_gallery rows, or all if none is flagged",
    )
    search.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="photos to search for")
    search.add_argument("--top", type=positive, default=10, metavar="K", help="neighbours of each; 10 by default")
    search.set_defaults(run=run_search)

    export = commands.add_parser("export", parents=[common, on_model], help="write a model as one file")
    export.add_argument("--format", choices=FORMATS, required=True, help="onnx needs the extra `export`")
    export.add_argument("--out", type=Path, required=True, help="the file to write")
    export.set_defaults(run=run_export)
    return parser
