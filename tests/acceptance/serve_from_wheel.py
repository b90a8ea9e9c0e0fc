"""Serve a profile from the installed wheel, in an environment that has nothing else."""

from __future__ import annotations

import importlib.metadata
import os
import runpy
import tempfile
from pathlib import Path

import flask_profile

package = Path(flask_profile.__file__).parent
assert ".venv-wheel" in package.parts, package
assert (package / "py.typed").exists()

distribution = importlib.metadata.distribution("flask-profile-api")
names = {file.parts[0] for file in distribution.files or []}
assert names <= {"flask_profile", f"flask_profile_api-{distribution.version}.dist-info"}, names

with tempfile.TemporaryDirectory() as folder:
    os.environ["FLASK_SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/users.db"
    os.environ["FLASK_JWT_SECRET_KEY"] = "a secret of more than thirty-two bytes"
    quickstart = runpy.run_path("examples/quickstart.py", run_name="quickstart")
    app, db = quickstart["create_app"](), quickstart["db"]
    from flask_jwt_extended import create_access_token

    with app.app_context():
        db.session.add(quickstart["User"](username="john_doe", email="john@example.com"))
        db.session.commit()
        headers = {"Authorization": f"Bearer {create_access_token('1')}"}
        response = app.test_client().post("/api/profile/", headers=headers)
        assert response.status_code == 200, response.data
        print(response.get_data(as_text=True))
