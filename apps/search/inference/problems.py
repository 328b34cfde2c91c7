"""The answers that are no result: what is wrong, and what to do about it."""


class Problem(Exception):  # noqa: N818
    """Becomes an answer with this status and `{"detail", "remedy"}`."""

    status = 500

    def __init__(self, detail: str, remedy: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


class Unauthorised(Problem):
    status = 401


class Unknown(Problem):
    status = 404


class OtherSpace(Problem):
    status = 409


class TooLarge(Problem):
    status = 413


class Unusable(Problem):
    """The request itself: a photo that cannot be read, a field that is missing."""

    status = 422


class Away(Problem):
    """Something that this needs is not there just now."""

    status = 503
