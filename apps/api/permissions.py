"""A token may do what its scopes say; a signed-in browser may do what its user may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import IsAuthenticated

from apps.accounts.models import ApiToken

if TYPE_CHECKING:  # the views module reads the settings, which name this one
    from rest_framework.request import Request
    from rest_framework.views import APIView


class HasScope(IsAuthenticated):
    """The view's `scope` for safe methods is `read` unless it says otherwise; for the others it must say."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not super().has_permission(request, view):
            return False
        if not isinstance(request.auth, ApiToken):
            return True
        scopes: dict[str, str] = getattr(view, "scopes", {})
        method = request.method or "GET"
        if method not in view.allowed_methods:
            return True  # so that the view answers 405: no scope would help
        needed = scopes.get(method, "read" if method in ("GET", "HEAD", "OPTIONS") else "")
        self.message = f"The token lacks the scope {needed}. Make one that has it."
        return bool(needed) and needed in request.auth.scopes
