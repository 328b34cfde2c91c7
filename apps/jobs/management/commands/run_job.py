"""`manage.py run_job ID ATTEMPT`: one attempt at one job, in a process of its own. Started by jobs.kick."""

import logging
import os
import sys
import traceback
from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from apps.jobs import runner


class Command(BaseCommand):
    help = "Runs one attempt at a job. Started by the trainer, not by people."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("job_id", type=int)
        parser.add_argument("attempt", type=int)

    def handle(self, *, job_id: int, attempt: int, **options: object) -> None:
        if os.getpgrp() != os.getpid():
            os.setpgrp()  # signals to the group must reach nobody else
        code = 1
        try:
            code = runner.run(job_id, attempt)
        except BaseException:
            traceback.print_exc()
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            # Neither a library's thread nor its exit hooks may keep the device once the job's end is written.
            os._exit(code)
