"""`manage.py inference`: serves embeddings and search to the site, on a socket of this host or at an address."""

import contextlib
import os
import signal
import sys
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.search.inference.app import build_app
from apps.search.inference.sockets import InUse, tcp_socket, unix_socket

GRACE_SECONDS = 5


class Command(BaseCommand):
    help = (
        "Holds published models and search indexes in memory. Listens on a Unix socket, or at KINDRED_INFERENCE_BIND "
        "(host:port) where that is set. Needs the site's SECRET_KEY in both cases."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        bind = os.environ.get("KINDRED_INFERENCE_BIND", "")
        path = settings.INFERENCE_SOCKET
        try:
            listener = tcp_socket(bind) if bind else unix_socket(path)
        except (InUse, ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        config = uvicorn.Config(
            build_app(), log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_SECONDS, lifespan="on"
        )
        # uvicorn ends its serving, then raises the signal again: as an exception, so that the socket is tidied away.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            if not bind:
                with contextlib.suppress(OSError):
                    path.unlink()
