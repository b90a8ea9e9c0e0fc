"""The contender that WIDE names, with more columns and eager relationships in its model."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from sqlalchemy import ForeignKey, Integer, String
from sqlalchemy.orm import mapped_column, relationship

_contender: Any = import_module(f"contenders.{os.environ['WIDE']}")
METHOD, PATH = _contender.METHOD, _contender.PATH
app, create_token = _contender.app, _contender.create_token

for n in range(int(os.environ["COLUMNS"])):
    setattr(_contender.User, f"column_{n}", mapped_column(String(50)))

for n in range(int(os.environ["RELATIONSHIPS"])):
    columns = {
        "id": mapped_column(Integer, primary_key=True),
        "name": mapped_column(String(50)),
    }
    related = type(
        f"Related{n}", (_contender.db.Model,), {"__tablename__": f"related_{n}", **columns}
    )
    setattr(_contender.User, f"related_{n}_id", mapped_column(ForeignKey(related.id)))
    setattr(_contender.User, f"related_{n}", relationship(related, lazy=os.environ["LAZY"]))
