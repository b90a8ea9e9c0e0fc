from __future__ import annotations

from contenders.django_site.views import ProfileView
from django.conf import settings
from django.urls import include, path

urlpatterns = [path("api/profile/", ProfileView.as_view())]
if "djoser" in settings.INSTALLED_APPS:
    urlpatterns.append(path("", include("djoser.urls")))
