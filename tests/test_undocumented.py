"""The undocumented names of dependencies that the package uses, and what each is for.

An upgrade that changes one of them fails here first. A name that is missing from this module fails
``test_every_private_name_is_listed_here``.
"""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from traceback import walk_tb

import flask_jwt_extended
import jwt
import pytest
import sqlalchemy
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin, resolver
from apispec.utils import build_reference, deepupdate
from flask import Flask, current_app
from flask.blueprints import BlueprintSetupState
from flask_jwt_extended import JWTManager, create_access_token, internal_utils
from flask_jwt_extended.config import config as jwt_config
from flask_jwt_extended.default_callbacks import default_decode_key_callback
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from jwt import DecodeError
from marshmallow import Schema, fields, pre_dump, validate
from PIL import Image, _webp
from PIL.PngImagePlugin import PngImageFile
from sqlalchemy import Engine, Integer, create_engine, event, orm
from sqlalchemy.types import TypeDecorator
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import Map, Rule
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

import flask_profile
from conftest import SECRET
from images import build_png

SESSION_EVENTS = (
    *("do_orm_execute", "after_begin"),
    *("after_transaction_create", "after_transaction_end"),
)
PACKAGE = Path(flask_profile.__file__).parent


def frames_of(error):
    return [frame for frame, _ in walk_tb(error.__traceback__)]


def modules_of(error):
    return {frame.f_globals["__name__"] for frame in frames_of(error)}


@pytest.fixture
def app():
    app = Flask("host")
    app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://", JWT_SECRET_KEY=SECRET)
    SQLAlchemy(app)
    JWTManager(app)
    with app.app_context():
        yield app


class TestWerkzeug:
    """routing.py replaces ``rule.methods``; auth.py recognizes the frames of ``Request``."""

    class AllMethods(set):
        def __contains__(self, method):
            return method != "--"

    def match(self, method):
        rule = Rule("/", endpoint="all", methods=["GET"])
        adapter = Map([rule]).bind("localhost")
        rule.methods = self.AllMethods(rule.methods)
        return adapter.match("/", method)

    def test_the_router_asks_the_methods_of_a_rule_whether_they_contain_a_method(self):
        assert self.match("BREW") == ("all", {})

    def test_the_router_lists_methods_by_looking_for_two_hyphens(self):
        with pytest.raises(MethodNotAllowed) as refused:
            self.match("--")
        assert sorted(refused.value.valid_methods) == ["GET", "HEAD"]

    def test_a_rule_knows_its_map_host_and_subdomain(self):
        rule = Rule("/", endpoint="all")
        routes = Map([rule])
        assert (rule.map, rule.rule, rule.host, rule.subdomain) == (routes, "/", None, "")

    def test_a_body_is_read_in_the_module_of_the_request_class(self):
        class Broken:
            def read(self, _size=-1):
                raise ZeroDivisionError

            readinto = readline = read

        environ = EnvironBuilder(method="POST").get_environ()
        request = Request(environ | {"wsgi.input": Broken(), "CONTENT_LENGTH": "9"})
        with pytest.raises(ZeroDivisionError) as failure:
            request.get_data()
        assert Request.__module__ in modules_of(failure.value)


class TestFlask:
    """blueprint.py sets the prefix of a blueprint when it is registered."""

    def test_a_blueprint_takes_its_prefix_from_the_setup_state(self):
        app = Flask("host")
        blueprint = flask_profile.ProfileBlueprint()
        state = BlueprintSetupState(blueprint, app, {"cli_group": "users"}, first_registration=True)
        assert (state.name_prefix, state.name) == ("", "profile")
        assert state.options["cli_group"] == "users"
        state.url_prefix = "/somewhere"
        state.add_url_rule("/", "view", lambda: "")
        assert [rule.rule for rule in app.url_map.iter_rules("profile.view")] == ["/somewhere/"]


class TestFlaskJwtExtended:
    """auth.py finds the manager, and tells failures of its callbacks by their frames."""

    def test_an_app_keeps_its_manager_in_its_extensions(self, app):
        assert isinstance(app.extensions["flask-jwt-extended"], JWTManager)

    def test_it_tells_whether_there_is_a_user_lookup_loader(self, app):
        assert internal_utils.has_user_lookup() is False
        app.extensions["flask-jwt-extended"].user_lookup_loader(lambda _header, _claims: None)
        assert internal_utils.has_user_lookup() is True

    @pytest.mark.parametrize("callback", ["token_in_blocklist_loader", "user_lookup_loader"])
    def test_callbacks_are_called_in_internal_utils(self, callback, app):
        def fail(_header, _claims):
            raise ZeroDivisionError

        getattr(app.extensions["flask-jwt-extended"], callback)(fail)
        headers = {"Authorization": f"Bearer {create_access_token('1')}"}
        with (
            app.test_request_context(headers=headers),
            pytest.raises(ZeroDivisionError) as failure,
        ):
            flask_jwt_extended.verify_jwt_in_request()
        assert internal_utils.__name__ in modules_of(failure.value)

    def test_the_key_loader_is_called_in_the_module_of_the_manager(self, app):
        """token_failures.py: a host's loader is the next frame."""

        def fail(_header, _claims):
            raise ZeroDivisionError

        app.extensions["flask-jwt-extended"].decode_key_loader(fail)
        headers = {"Authorization": f"Bearer {create_access_token('1')}"}
        with (
            app.test_request_context(headers=headers),
            pytest.raises(ZeroDivisionError) as failure,
        ):
            flask_jwt_extended.verify_jwt_in_request()
        modules = [frame.f_globals["__name__"] for frame in frames_of(failure.value)]
        assert modules[-2:] == [flask_jwt_extended.jwt_manager.__name__, __name__]

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
    def test_an_algorithm_refuses_a_key_in_prepare_key(self, algorithm):
        header = jwt.utils.base64url_encode(json.dumps({"alg": algorithm}).encode()).decode()
        token = f"{header}.e30.AA"
        with pytest.raises((jwt.InvalidKeyError, ValueError, TypeError)) as failure:
            jwt.decode(token, "-----BEGIN PUBLIC KEY-----", [algorithm])
        assert "prepare_key" in {frame.f_code.co_name for frame in frames_of(failure.value)}

    def test_a_token_is_decoded_in_decode_token(self, app):
        headers = {"Authorization": "Bearer a.b.c"}
        with app.test_request_context(headers=headers), pytest.raises(DecodeError) as failure:
            flask_jwt_extended.verify_jwt_in_request()
        codes = {frame.f_code for frame in frames_of(failure.value)}
        assert flask_jwt_extended.decode_token.__code__ in codes

    def test_the_key_comes_from_a_callback_that_is_the_default_one(self, app):
        """cli/checks: only the default callback returns a key that can be checked."""
        manager = app.extensions["flask-jwt-extended"]
        assert manager._decode_key_callback is default_decode_key_callback
        manager.decode_key_loader(lambda _header, _claims: SECRET)
        assert manager._decode_key_callback is not default_decode_key_callback

    @pytest.mark.parametrize(
        "name",
        [
            *("access_cookie_name", "access_csrf_header_name", "cookie_csrf_protect"),
            *("csrf_request_methods", "decode_algorithms", "decode_key", "header_name"),
            *("header_type", "json_key", "query_string_name", "query_string_value_prefix"),
            "token_location",
        ],
    )
    def test_its_config_object_has_the_settings_of_the_app(self, name, app):
        """cli/ and openapi/ read where tokens are expected."""
        assert getattr(jwt_config, name) is not None
        assert name in vars(type(jwt_config))


class TestSqlAlchemy:
    """connections.py leaves out the session, and autocommit.py the transaction, if none listens."""

    def test_a_session_knows_its_listeners(self):
        factory = orm.sessionmaker()
        session = factory()
        for name in SESSION_EVENTS:
            assert not getattr(session.dispatch, name)
            event.listen(factory, name, lambda *_: None)
            assert getattr(session.dispatch, name)

    def test_an_engine_knows_whether_anything_listens_to_it(self):
        engine, other = create_engine("sqlite://"), create_engine("sqlite://")
        assert not engine._has_events
        event.listen(engine, "begin", lambda _connection: None)
        assert engine._has_events
        assert not other._has_events

    def test_an_engine_knows_whether_anything_listens_to_all_engines(self):
        def listener(_connection):
            pass

        class OneEngine(Engine):  # Listeners to Engine itself would stay.
            pass

        engine = create_engine("sqlite://")
        engine.__class__ = OneEngine
        assert not engine._has_events
        event.listen(OneEngine, "begin", listener)
        assert engine._has_events

    def test_a_sessionmaker_subclasses_the_class_that_it_is_given(self):
        class HostSession(Session):
            pass

        assert orm.sessionmaker(class_=Session).class_.__bases__ == (Session,)
        assert orm.sessionmaker(class_=HostSession).class_.__bases__ == (HostSession,)
        assert type(SQLAlchemy().session) is orm.scoped_session
        assert SQLAlchemy().session.session_factory.class_.__bases__ == (Session,)

    def test_a_mapper_knows_the_listeners_to_the_loading_of_its_entities(self):
        class Base(orm.DeclarativeBase):
            pass

        class User(flask_profile.ProfileMixin, Base):
            __tablename__ = "users"

        events = User.__mapper__.class_manager.dispatch
        assert not events.load
        assert not events.refresh
        event.listen(User, "load", lambda *_: None)
        event.listen(User, "refresh", lambda *_: None)
        assert events.load
        assert events.refresh

    def test_the_scoped_session_knows_whether_it_has_a_session(self, app):
        session = current_app.extensions["sqlalchemy"].session
        assert session.registry.has() is False
        session()
        assert session.registry.has() is True
        session.remove()
        assert isinstance(session.session_factory(), Session)

    def test_a_decorated_type_has_the_type_that_it_decorates(self):
        """identities.py and columns.py look for the integer, text or UUID that is stored."""

        class Decorated(TypeDecorator):
            impl = Integer
            cache_ok = True

        implementation = Decorated().dialect_impl(create_engine("sqlite://").dialect)
        assert isinstance(implementation.impl_instance, Integer)

    def test_alembic_renders_a_type_by_its_module_and_repr(self):
        """types.py: a migration names SQLAlchemy's own types, and does not need this package."""
        type_ = flask_profile.ProfileMixin.date_joined.column.type
        assert type_.__module__ == "sa"
        assert eval(f"sa.{type_!r}", {"sa": sqlalchemy})


class TestMarshmallow:
    """inspection.py finds the functions of a schema that get the whole user."""

    def test_a_schema_lists_its_hooks_by_tag(self):
        class Hooked(Schema):
            @pre_dump
            def prepare(self, user, **_):
                return user

        assert [hook[0] for hook in Hooked.resolve_hooks()["pre_dump"]] == ["prepare"]
        assert not Hooked.resolve_hooks()["post_dump"]

    def test_a_schema_class_knows_the_fields_that_it_declares(self):
        class Named(Schema):
            name = fields.String()

        assert [*Named._declared_fields] == ["name"]

    def test_a_method_field_names_its_method_and_a_function_field_has_its_function(self):
        def describe(_user):
            return ""

        assert fields.Method("describe").serialize_method_name == "describe"
        assert fields.Function(describe).serialize_func is describe

    def test_the_methods_of_its_own_fields_belong_to_its_module(self):
        for name in ("serialize", "get_value", "_serialize"):
            assert getattr(fields.String(), name).__module__ == fields.__name__


class TestApispec:
    """openapi/ describes what is sent and what is accepted apart, in a document of its own."""

    def test_a_converter_makes_a_json_schema_of_fields(self):
        plugin = MarshmallowPlugin()
        APISpec("", "", "3.1.0", [plugin])
        schema = plugin.converter.fields2jsonschema(
            {"name": fields.String(validate=validate.Length(max=9), required=True)}, partial=True
        )
        assert schema["properties"] == {"name": {"type": "string", "maxLength": 9}}
        assert "required" not in schema

    def test_a_document_has_its_parts_in_dicts(self):
        spec = APISpec("", "", "3.1.0")
        components = spec.components
        assert components.schemas == components.responses == components.security_schemes == {}
        assert spec.options == {}
        spec.options = deepupdate({"paths": {"/a": {}}}, {"paths": {"/b": {}}})
        assert spec.to_dict()["paths"] == {"/a": {}, "/b": {}}

    def test_it_names_schemas_and_references_to_components(self):
        class PetSchema(Schema):
            pass

        assert resolver(PetSchema) == "Pet"
        assert build_reference("schema", 3, "Pet") == {"$ref": "#/components/schemas/Pet"}


class TestPillow:
    def test_the_decoder_of_webp_hands_over_its_buffer(self):
        """The documented way copies it: a photo of 12 megapixels would take more than 200 MB."""
        file = io.BytesIO()
        Image.new("RGBA", (3, 2), (1, 2, 3, 4)).save(file, "WEBP", lossless=True, exact=True)
        decoder = _webp.WebPAnimDecoder(file.getvalue())
        size, *_, mode = decoder.get_info()
        pixels, _ = decoder.get_next()
        assert (size, mode, pixels) == ((3, 2), "RGBA", bytes([1, 2, 3, 4]) * 6)

    def test_another_byte_order_gives_the_low_bytes_of_16_bits(self):
        """Otherwise a transparent colour of 16 bits could be confused with similar ones."""
        png = build_png(1, 1, 16, 2, rows=b"\0\x01\x02\x03\x04\x05\x06")
        found = {}
        for order in "BL":
            image = PngImageFile(io.BytesIO(png))
            image.tile = [image.tile[0]._replace(args=f"RGB;16{order}")]
            found[order] = image.getpixel((0, 0))
        assert found == {"B": (1, 3, 5), "L": (2, 4, 6)}


# The first three are tested above. The next two are only types, which the type checkers find.
# marshmallow documents the last one as what a field of one's own defines.
PRIVATE_NAMES = {
    *("_declared_fields", "_decode_key_callback", "_has_events"),
    *("_AbstractLoad", "_BaseFieldKwargs", "_deserialize"),
    *("_webp", "_replace"),  # Of Pillow, tested above; a method of every named tuple.
}


def test_every_private_name_is_listed_here():
    used = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute):
                is_own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
                used |= set() if is_own else {node.attr}
    assert {n for n in used if n.startswith("_") and not n.startswith("__")} == PRIVATE_NAMES
