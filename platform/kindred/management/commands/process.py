"""`manage.py process NAME`: becomes one process of the Procfile, for containers and service managers."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from kindred import procfile


class Command(BaseCommand):
    help = "Runs one process of the Procfile, in place of this one."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=sorted(procfile.commands()))

    def handle(self, *, name: str, **options: object) -> None:
        procfile.become(name)
