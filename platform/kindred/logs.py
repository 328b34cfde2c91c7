"""Structured logs, with request and job ids in every line."""

import logging.config

import structlog
from structlog.typing import Processor


def configure(*, json: bool, level: str) -> None:
    """Sends structlog and the standard library's loggers through one formatter: JSON, or text for people."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    rendering: list[Processor] = [
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    ]
    if json:
        rendering = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
                    "foreign_pre_chain": shared,
                }
            },
            # A status alone is in the line of its request already.
            "filters": {
                "exceptions": {"()": "django.utils.log.CallbackFilter", "callback": lambda r: bool(r.exc_info)}
            },
            "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["console"], "level": level},
            "loggers": {
                "django.request": {"filters": ["exceptions"]},
                # What these tell of their ordinary days is of no use to anybody.
                **{name: {"level": "WARNING"} for name in ("django-q", "faiss", "httpx", "uvicorn")},
            },
        }
    )
