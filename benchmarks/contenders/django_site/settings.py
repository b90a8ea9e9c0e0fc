"""The settings of `django-admin startproject`, with what the contenders' documentation adds."""

from __future__ import annotations

import os
from importlib.util import find_spec
from urllib.parse import urlsplit

_url = urlsplit(os.environ["DATABASE"])

SECRET_KEY = os.environ["FLASK_JWT_SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "contenders.django_site.urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    *(["djoser"] if find_spec("djoser") else []),
    "contenders.django_site",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {
    "default": {
        "ENGINE": f"django.db.backends.{_url.scheme.split('+')[0].replace('sqlite', 'sqlite3')}",
        "NAME": _url.path[1:],
        "HOST": _url.hostname or "",
        "PORT": _url.port or "",
        "USER": _url.username or "",
        "PASSWORD": _url.password or "",
        "CONN_MAX_AGE": None,  # Keeps connections open; by default, each request opens one.
    }
}
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
AUTH_USER_MODEL = "django_site.User"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
DJOSER = {"SERIALIZERS": {"current_user": "contenders.django_site.views.UserSerializer"}}
