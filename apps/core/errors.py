"""The errors that people see: what is wrong, where, and what to do.

Raised by services and selectors; `apps.core.answers` turns them into a page, a fragment, or a problem document.
"""

from typing import Any


class KindredError(Exception):
    """`detail` says what is wrong and where; `remedy` says what to do about it."""

    status = 500
    title = "Something went wrong"

    def __init__(self, detail: str, *, remedy: str = "", extra: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy
        self.extra = extra or {}


class BadInput(KindredError):  # noqa: N818
    """The request cannot be done as it stands. `extra["problems"]` may list every fault found."""

    status = 422
    title = "That cannot be done"


class Forbidden(KindredError):  # noqa: N818
    status = 403
    title = "Your role does not allow that"


class Conflict(KindredError):  # noqa: N818
    """Someone else changed it first. `extra["current"]` holds the current value."""

    status = 409
    title = "It was changed meanwhile"


class TooLarge(KindredError):  # noqa: N818
    """More was sent than is read at once."""

    status = 413
    title = "Too large"


class Unavailable(KindredError):  # noqa: N818
    """A process that this needs is not there. Trying again later can help."""

    status = 503
    title = "Not available just now"


class DiskFull(KindredError):  # noqa: N818
    status = 507
    title = "The disk is full"
