from __future__ import annotations

from django.conf import settings
from django.urls import include, path

from contenders.django_site.views import ProfileView

urlpatterns = [path("api/profile/", ProfileView.as_view())]
if "djoser" in settings.INSTALLED_APPS:
    urlpatterns.append(path("", include("djoser.urls")))
