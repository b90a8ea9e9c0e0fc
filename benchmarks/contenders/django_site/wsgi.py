from __future__ import annotations

import os
from datetime import timedelta

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "contenders.django_site.settings")
app = get_wsgi_application()


def create_token(user_id: int, seconds: int) -> str:
    from django.contrib.auth import get_user_model
    from rest_framework_simplejwt.tokens import AccessToken

    token = AccessToken.for_user(get_user_model()(pk=user_id))
    token.set_exp(lifetime=timedelta(seconds=seconds))
    return str(token)
