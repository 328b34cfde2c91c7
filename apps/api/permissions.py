"""A token may do what its scopes say; a signed-in browser may do what its user may."""

from rest_framework.permissions import IsAuthenticated


class HasScope(IsAuthenticated):
    pass
