from django.contrib.auth.decorators import login_not_required
from django.urls import include, path, re_path
from rest_framework.routers import SimpleRouter

from apps.api.docs import DocsView, SchemaView
from apps.api.problems import not_found
from apps.api.views import inference, resources

app_name = "api"

router = SimpleRouter()
router.register("datasets", resources.DatasetViewSet, "datasets")
router.register("labels", resources.LabelViewSet, "labels")
router.register("samples", resources.SampleViewSet, "samples")
router.register("models", resources.ModelViewSet, "models")
router.register("runs", resources.RunViewSet, "runs")
router.register("jobs", resources.JobViewSet, "jobs")

# The site's login wall would answer programs with a redirect to a page. Here DRF's own permission stands instead:
# signed in, by session or token, or 401.
v1 = [
    *router.urls,
    path("embeddings", inference.EmbeddingsView.as_view(), name="embeddings"),
    path("search", inference.SearchView.as_view(), name="search"),
]

urlpatterns = [
    path("v1/", include(v1)),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(), name="docs"),
    re_path(r"^(?P<path>.*)$", login_not_required(not_found)),
]
