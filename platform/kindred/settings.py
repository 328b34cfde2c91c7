"""All settings of the site, in one file. Everything that differs between installations is an environment variable."""

from pathlib import Path
from typing import Any

import django_stubs_ext
import environ

from kindred import folders, logs, postgres, secret

ROOT = Path(__file__).resolve().parents[2]
env = environ.Env()
django_stubs_ext.monkeypatch()  # ModelAdmin[Dataset] and its like may be written outside of comments

# --- where things are -------------------------------------------------------------------------------------------
DATA_DIR = Path(env.str("KINDRED_DATA_DIR", default=str(ROOT / "var"))).resolve()
# Unix sockets have paths of at most 107 bytes, so they live in a short folder of their own (mode 0700).
RUNTIME_DIR = folders.runtime_dir(DATA_DIR)
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
SITE_URL = env.str("KINDRED_SITE_URL", default=f"http://{'127.0.0.1' if HOST == '0.0.0.0' else HOST}:{PORT}")  # noqa: S104
SITE_URL = SITE_URL.rstrip("/")

# --- security ---------------------------------------------------------------------------------------------------
DEBUG = env.bool("KINDRED_DEBUG", default=False)
SECRET_KEY = secret.load_or_make(DATA_DIR / "secret.key", env.str("KINDRED_SECRET_KEY", default=""))
# The loopback names always: health checks come from the host itself.
ALLOWED_HOSTS = [*env.list("KINDRED_ALLOWED_HOSTS", default=[HOST]), "127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.list("KINDRED_TRUSTED_ORIGINS", default=[])
HTTPS = SITE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Cookies know no ports: two copies on one host would sign each other out.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"kindred_{PORT}_session", f"kindred_{PORT}_csrf"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # no cookie, for the same reason
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "accounts:login"
LOGIN_ATTEMPTS_PER_15_MINUTES = 10
# How many proxies stand in front, each adding the address it saw to X-Forwarded-For. 0: the header is not believed.
PROXIES = env.int("KINDRED_PROXIES", default=0)
CSRF_FAILURE_VIEW = "kindred.views.csrf_failure"

# --- the site ---------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
INSTALLED_APPS = [
    "kindred",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "django_htmx",
    "django_q",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "apps.core",
    "apps.accounts",
    "apps.jobs",
    "apps.datasets",
    "apps.zoo",
    "apps.search",
    "apps.training",
    "apps.reports",
    "apps.api",
]
MIDDLEWARE = [
    "apps.core.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "apps.core.middleware.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.core.middleware.BodyLimitMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.core.middleware.ErrorMiddleware",
]
ROOT_URLCONF = "kindred.urls"
WSGI_APPLICATION = "kindred.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["apps.core.templatetags.kindred"],
        },
    }
]
if DEBUG:  # read again at every request: `make dev` shows a changed page at once
    TEMPLATES[0]["APP_DIRS"] = False
    TEMPLATES[0]["OPTIONS"]["loaders"] = [
        "django.template.loaders.filesystem.Loader",
        "django.template.loaders.app_directories.Loader",
    ]
LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TZ", default="UTC")
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- database, cache --------------------------------------------------------------------------------------------
DATABASE_URL = env.str("DATABASE_URL", default="")
POSTGRES_SOCKET_DIR = postgres.socket_dir(DATA_DIR, RUNTIME_DIR)
DATABASES: dict[str, dict[str, Any]] = {"default": {}}
if DATABASE_URL:
    DATABASES["default"] |= env.db_url_config(DATABASE_URL)
else:
    DATABASES["default"] |= {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": postgres.SUPERUSER,
        "HOST": str(POSTGRES_SOCKET_DIR),
    }
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "kindred_cache"}}

# --- files ------------------------------------------------------------------------------------------------------
MEDIA_ROOT = DATA_DIR / "files"
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [ROOT / "static"]
STORAGES = {
    # images/, snapshots/, runs/, models/, indexes/, uploads/: all content lives behind this one storage.
    "default": {"BACKEND": "apps.core.storage.DurableStorage", "OPTIONS": {"location": MEDIA_ROOT}},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
X_ACCEL_REDIRECT = env.str("KINDRED_X_ACCEL_REDIRECT", default="")
FILE_UPLOAD_TEMP_DIR = str(DATA_DIR / "tmp")
Path(FILE_UPLOAD_TEMP_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 2**20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000
MAX_UPLOAD_BYTES = env.int("KINDRED_MAX_UPLOAD_BYTES", default=20 * 2**30)
MAX_API_BODY_BYTES = 96 * 2**20
MAX_BODY_BYTES = 24 * 2**20  # of every other request that is no import

# --- long work (apps/jobs) --------------------------------------------------------------------------------------
# kind -> (handler by dotted name, slot pool). One device slot per accelerator; `io` work does not wait for it.
JOB_KINDS = {
    "import": ("apps.datasets.tasks.import_job", "io"),
    "train": ("apps.training.tasks.train_job", "device"),
    "evaluate": ("apps.reports.tasks.evaluate_job", "device"),
    "index": ("apps.search.tasks.index_job", "device"),
    "sweep": ("kindred.sweep.sweep_job", "io"),
}
JOB_SLOTS = {"io": env.int("KINDRED_IO_SLOTS", default=2), "device": env.str("KINDRED_DEVICES", default="auto")}
JOB_LEASE_SECONDS = env.int("KINDRED_JOB_LEASE_SECONDS", default=60)
JOB_HEARTBEAT_SECONDS = env.int("KINDRED_JOB_HEARTBEAT_SECONDS", default=5)
JOB_MAX_ATTEMPTS = 3
JOB_TERM_GRACE_SECONDS = 20

Q_CLUSTER = {
    "name": "default",
    "orm": "default",
    "workers": 2,
    "queue_limit": 2,
    "bulk": 1,
    "timeout": 120,
    "retry": 400,  # > timeout * (1 + ceil((queue_limit + 1) / workers)): a task must never be handed out twice
    "max_attempts": 2,
    "ack_failures": True,
    "catch_up": False,
    "poll": 0.5,
    "cache": "default",
    "save_limit": 100,
    "ALT_CLUSTERS": {"gpu": {"workers": 1, "queue_limit": 1, "timeout": 120, "retry": 400, "scheduler": True}},
}

# --- inference process (apps/search) ----------------------------------------------------------------------------
# Empty: a Unix socket in RUNTIME_DIR. Set (http://host:port) where the process runs elsewhere.
INFERENCE_URL = env.str("KINDRED_INFERENCE_URL", default="")
INFERENCE_SOCKET = RUNTIME_DIR / "inference.sock"
INFERENCE_TIMEOUT_SECONDS = 30

# --- REST -------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["apps.api.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "apps.api.pagination.KeysetPagination",
    "PAGE_SIZE": 100,
    "EXCEPTION_HANDLER": "apps.api.problems.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Kindred",
    "DESCRIPTION": "Embeddings, search, samples, models and jobs.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

LOGGING_CONFIG = None  # kindred.logs does it, for structlog too
logs.configure(json=env.bool("KINDRED_LOG_JSON", default=False), level=env.str("KINDRED_LOG_LEVEL", default="INFO"))
