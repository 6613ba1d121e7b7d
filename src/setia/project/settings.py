"""Settings, all read from the environment. Nothing here belongs to one merchant.

SETIA_DATABASE_URL         any PostgreSQL ≥ 15, as the product's own role; without it the embedded one is used
SETIA_DATABASE_OWNER_URL   the role that owns the tables, for migrations; the same role when it isn't given
SETIA_SECRET_KEY           at least 50 characters; made and kept in the data folder for the embedded database
SETIA_DATA_DIR             where the embedded database lives
SETIA_BASE_URL             the address people reach it at, such as https://loyal.example.com
SETIA_RATE_LIMIT           requests a second that one API key may make of one server process (5000); 0 is no limit
SETIA_DEBUG                1 shows errors in the browser; never in production
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from csp.constants import NONCE, NONE, SELF

BASE = Path(__file__).parent.parent
DEBUG = os.environ.get("SETIA_DEBUG") == "1"
SECRET_KEY = os.environ.get("SETIA_SECRET_KEY", "")
if len(SECRET_KEY) < 50:
    raise RuntimeError("SETIA_SECRET_KEY must have at least 50 characters. Make one: setia secret")
BASE_URL = os.environ.get("SETIA_BASE_URL", "http://127.0.0.1:8000").rstrip("/")
RATE_LIMIT = int(os.environ.get("SETIA_RATE_LIMIT", "5000"))  # well above what one process can answer
ALLOWED_HOSTS = [urlsplit(BASE_URL).hostname or "", "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [BASE_URL]
if BASE_URL.startswith("https://"):
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_htmx",
    "ninja",
    "procrastinate.contrib.django",
    "setia.tenancy",
    "setia.catalog",
    "setia.members",
    "setia.journal",
    "setia.programs",
    "setia.outbox",
    "setia.intake",
    "setia.insights",
    "setia.referrals",
    "setia.proof",
    "setia.rewards",
    "setia.web",
    "setia.console",
    "setia.till",
    "setia.portal",
    "setia.project",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "setia.web.middleware.language",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "setia.web.middleware.refusals",
]
ROOT_URLCONF = "setia.project.urls"
WSGI_APPLICATION = "setia.project.wsgi.application"
AUTH_USER_MODEL = "tenancy.Staff"
LOGIN_URL = "/console/masuk"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": False,
        # Django turns psycopg's prepared statements off without a word; five uses is psycopg's own threshold.
        # A server that vanished without a word is noticed within a minute instead of holding a thread for hours.
        "OPTIONS": {
            "prepare_threshold": 5,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    }


_url = os.environ.get("SETIA_DATABASE_URL", "")
DATABASES = {
    "default": _database(_url),
    "owner": _database(os.environ.get("SETIA_DATABASE_OWNER_URL") or _url),
}

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "setia.web.pages.context",
            ],
            "builtins": ["setia.web.templatetags.setia"],
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
SESSION_COOKIE_AGE = 180 * 24 * 3600  # people in a queue must not be asked to sign in again
SESSION_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "setia.web.pages.csrf_failure"
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W012", "security.W016"]

LANGUAGE_CODE = "id"
LANGUAGES = [("id", "Bahasa Indonesia"), ("en", "English")]
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = None  # served from where the packages keep them
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024  # a receipt of a thousand lines is a tenth of this

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
