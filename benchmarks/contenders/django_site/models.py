from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    email = models.EmailField(max_length=200, unique=True)
    number_phone = models.CharField(max_length=10, null=True)
    avatar = models.CharField(max_length=500, null=True)

    class Meta:
        db_table = "user"
