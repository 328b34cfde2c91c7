"""`Authorization: Bearer kd_<prefix>.<secret>`."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.accounts.models import ApiToken, User
from apps.accounts.tokens import token_find


class TokenAuthentication(BaseAuthentication):
    """A program's token. Comes first, so that a missing login is answered with 401 and how to sign in."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = token_find(text.strip())
        if token is None:
            raise AuthenticationFailed("The token is unknown, revoked or expired. Make a new one under API tokens.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="Kindred"'


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI schema about the token."""

    target_class = "apps.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token from the page API tokens"}
