"""Keyset pages: the cursor names the last id seen, so page 1,000 costs what page 1 costs."""

from rest_framework.pagination import CursorPagination


class KeysetPagination(CursorPagination):
    """`?limit=` (at most 1,000) and `?cursor=`; the answer holds `next`, `previous` and `results`."""

    ordering = "id"
    page_size_query_param = "limit"
    max_page_size = 1000
