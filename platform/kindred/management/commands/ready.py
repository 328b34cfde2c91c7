"""`manage.py ready [PART ...]`: exit code 0 when the parts are there. For containers' health checks."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from kindred import health


class Command(BaseCommand):
    help = "Says which parts of the site are ready; fails when one is not."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("parts", nargs="*", help=f"of {', '.join(health.parts())}; all when none is named")

    def handle(self, *, parts: list[str], **options: object) -> None:
        if unknown := sorted(set(parts) - set(health.parts())):
            raise CommandError(f"Unknown: {', '.join(unknown)}. Known: {', '.join(health.parts())}.")
        answers = health.check(parts or None)
        for part, trouble in answers.items():
            self.stdout.write(f"{part}: {trouble or 'ok'}")
        if any(answers.values()):
            raise CommandError("Not ready.")
