"""Recipes after published ones for public datasets, each a YAML file under the name of its layout. No torch."""

from pathlib import Path

PUBLISHED: dict[str, Path] = {file.stem: file for file in sorted(Path(__file__).parent.glob("*.yaml"))}
