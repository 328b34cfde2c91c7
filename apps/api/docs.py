"""The page of the REST API: Swagger UI from the package's own files, without inline script."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views import View
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.permissions import HasScope

# Swagger UI styles its own elements and draws icons from data: addresses; scripts stay as strict as everywhere.
POLICY = settings.CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


class SchemaView(SpectacularAPIView):
    """The OpenAPI description, for whoever is signed in, by session or token."""

    permission_classes = [HasScope]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().get(request, *args, **kwargs)
        return response


class DocsView(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        response = render(request, "api/docs.html")
        response.headers["Content-Security-Policy"] = POLICY
        return response


class DocsScriptView(View):
    """Starts Swagger UI. A file of its own, because the policy forbids scripts inside a page."""

    def get(self, request: HttpRequest) -> HttpResponse:
        text = (
            "window.addEventListener('DOMContentLoaded', () => SwaggerUIBundle({"
            f"url: '{reverse('api:schema')}', dom_id: '#swagger', deepLinking: true, "
            "requestInterceptor: (request) => { const token = document.querySelector('#swagger').dataset.csrf; "
            "request.headers['X-CSRFToken'] = token; return request; } }));"
        )
        return HttpResponse(text, content_type="text/javascript")
