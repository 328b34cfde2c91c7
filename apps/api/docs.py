"""The page of the REST API: Swagger UI from the package's own files; `static/api/` starts and dresses it."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import View
from drf_spectacular.views import SpectacularAPIView

from apps.api.permissions import HasScope

# Swagger UI styles its own elements and draws icons from data: addresses; scripts stay as strict as everywhere.
POLICY = settings.CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


class SchemaView(SpectacularAPIView):
    """The OpenAPI description, for whoever is signed in, by session or token."""

    permission_classes = [HasScope]


class DocsView(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        response = render(request, "api/docs.html")
        response.headers["Content-Security-Policy"] = POLICY
        return response
