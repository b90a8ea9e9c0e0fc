"""A client of a running app of this folder."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import update
from werkzeug.test import Client

from conftest import Host
from hosts.cases import PASSWORD


class Browser(Client):
    """A client that uses TLS, and sends the headers of the host's proxy if there is one."""

    proxy: Mapping[str, str] = {}

    def open(self, *args, headers=None, **options):
        options = {"base_url": "https://www.example.com"} | options
        return super().open(*args, headers={**self.proxy, **(headers or {})}, **options)


class RunningHost(Host):
    """An app of the ``hosts`` folder, with John in its database."""

    def __init__(self, case, app, module):
        super().__init__(app, module.db, module.User)
        self.case = case

    @property
    def client(self):
        return self.browser(use_cookies=False)

    def browser(self, **options):
        """Return a client that keeps cookies."""
        browser = Browser(self.app, **options)
        browser.proxy = self.case.proxy
        return browser

    def sign_in(self, username="john_doe", password=PASSWORD):
        """Sign in through the host's own route and return the response."""
        return self.case.sign_in(self.browser(), username=username, password=password)

    def sign_in_john(self):
        """Sign John in and return the headers of his requests."""
        return self.case.headers(self.sign_in())

    def request(self, headers=None, method="POST", **options):
        """Send a request to the URL of the profile."""
        return self.client.open(self.case.url, method=method, headers=headers, **options)

    def execute(self, statement):
        with self.app.app_context():
            self.db.session.execute(statement)
            self.db.session.commit()

    def change(self, **values):
        self.execute(update(self.User).values(**values))


def check_and_parse(response):
    """Check the headers that every response has, and return its status and JSON body."""
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, response.json
