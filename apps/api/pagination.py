"""Keyset pages: the cursor names the last id seen, so page 1,000 costs what page 1 costs."""

from typing import NoReturn

from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from apps.core.errors import BadInput


class KeysetPagination(CursorPagination):
    """`?limit=` (at most 1,000) and `?cursor=`; the answer holds `next`, `previous` and `results`."""

    ordering = "id"
    page_size_query_param = "limit"
    page_size_query_description = "How many at once, 1 to 1,000"
    max_page_size = 1000

    def get_page_size(self, request: Request) -> int | None:
        """Raises BadInput for a limit that is no number from 1 to 1,000."""
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= self.max_page_size):
            raise BadInput(f"limit={text[:50]} is not understood.", remedy=f"Give 1 to {self.max_page_size}.")
        return int(text)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Raises BadInput for a cursor that no page gave out."""
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            self._refuse()
        if cursor is None or cursor.position is None:
            return cursor
        position = str(cursor.position)
        if not (position.isascii() and position.isdecimal() and len(position) <= 18):
            self._refuse()
        return cursor

    @staticmethod
    def _refuse() -> NoReturn:
        raise BadInput("The cursor is not one that a page gave out.", remedy="Follow `next` and `previous`.")
