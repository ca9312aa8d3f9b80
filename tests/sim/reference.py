"""The published reference, put right where it is known to be wrong, and a tap on the wire.

`Wiretap` sits between a server's sockets and its application, so it hears every client alike: this
package's, the official one in another process, and a test's own. `Reference` then holds what it
heard against the published OpenAPI file.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from vastnb.sim import Server


@dataclass
class Heard:
    """A request and its answer, as they passed the socket."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    content_type: str | None
    body: bytes
    status: int = 0
    answer_headers: list[tuple[str, str]] = field(default_factory=list)
    answer: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


class Wiretap:
    """Everything that passes a server's sockets while it is entered."""

    def __init__(self, server: Server) -> None:
        self.heard: list[Heard] = []
        self._http = server._http
        self._app = self._http.app

    def __enter__(self) -> Wiretap:
        self._http.app = self._listen
        return self

    def __exit__(self, *_: object) -> None:
        self._http.app = self._app

    def _listen(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        request = Request(environ)
        body = request.get_data()
        environ["wsgi.input"] = BytesIO(body)
        one = Heard(
            request.method, request.path, request.query_string.decode(), list(request.headers),
            request.content_type, body,
        )  # fmt: skip

        def begin(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            one.status, one.answer_headers = int(status.split()[0]), headers
            return start_response(status, headers, exc_info)

        one.answer = b"".join(self._app(environ, begin))
        self.heard.append(one)
        return [one.answer]


# -- where the reference is known to be wrong

Change = Callable[[dict[str, Any]], None]


def _put(**values: Any) -> Change:
    return lambda schema: schema.update(values)


def _null_for_nothing(schema: dict[str, Any]) -> None:
    for described in schema["properties"].values():
        if isinstance(described.get("type"), str):
            described["type"] = [described["type"], "null"]
        if "enum" in described:
            described["enum"].append(None)


_JSON = "content > application/json > schema"
_SEARCH = f"paths > /api/v0/bundles > post > requestBody > {_JSON}"
_CREATE = f"paths > /api/v0/asks/{{id}} > put > requestBody > {_JSON}"
_TEMPLATE = f"paths > /api/v0/template > post > requestBody > {_JSON}"
_LISTED = f"paths > /api/v1/instances > get > responses > 200 > {_JSON}"

CORRECTIONS: dict[str, tuple[Change, str]] = {
    "paths > /api/v0/bundles > post": (
        _put(security=[]),
        "a search needs no key; the file asks for one everywhere",
    ),
    f"{_SEARCH} > properties > order": (
        lambda order: (
            order.update(items={**order["items"], "minItems": 2, "maxItems": 2})
            or [order.pop(name) for name in ("minItems", "maxItems")]
        ),
        "the file says two entries, and means that each of them has two parts",
    ),
    f"{_SEARCH} > properties > type": (
        lambda kind: kind["enum"].extend(["on-demand", "interruptible"]),
        "the official client sends 'on-demand', which the file does not know",
    ),
    f"{_CREATE} > properties > env": (
        _put(type=["string", "object"]),
        "the official client sends an object; the file knows docker's flags only",
    ),
    f"{_CREATE} > properties > runtype": (
        lambda runtype: runtype["enum"].append("ssh_direc ssh_proxy"),
        "the official client's spelling of ssh_direct",
    ),
    _CREATE: (_null_for_nothing, "the official client sends null for what is not given"),
    _TEMPLATE: (_null_for_nothing, "the official client sends null for what is not given"),
    "components > schemas > Instance > properties > ports": (
        _put(type="object"),
        "a list here and an object in the list of instances; recorded: an object",
    ),
    "components > schemas > Instance > properties > extra_env > items": (
        _put(type="array"),
        "recorded: a list of [name, value] pairs",
    ),
    f"{_LISTED} > properties > instances > items > properties > onstart": (
        _put(type=["string", "null"]),
        "null in the same file's record of one instance, and null where there is none",
    ),
}
"""Place in the file -> what is changed there, and why."""

UNPUBLISHED = {
    "POST /api/v0/asks/bulk/": "the official client creates several with it",
    "PUT /api/v0/launch_instance/": "the official client searches and rents with it",
    "PUT /api/v0/search/asks/": "the official client's newer search",
    "GET /api/v0/bundles/": "the official client's older search",
    "DELETE /api/v0/instances/": "the official client destroys several with it",
    "GET /api/v0/instances/filters/": "the official client's kit asks it",
    "GET /api/v0/instances/": "was replaced by version 1",
    "GET /api/v0/gpu_types/": "known by observation",
    "GET /api/v0/gpu_names/unique/": "the official client completes names with it",
    "GET /simulated-storage/": "stands for a storage service, which is not part of the API",
}
"""Calls of which the file says nothing, and why they are made nevertheless."""


class Reference:
    """The published OpenAPI file, corrected.

    Parameters
    ----------
    path : Path
        The file.
    without : str, optional
        A place of `CORRECTIONS` that is left as it is.
    """

    def __init__(self, path: Path, *, without: str | None = None) -> None:
        document = json.loads(_as_json(path))
        document["servers"] = [{"url": "http://localhost"}]
        for place, (change, _) in CORRECTIONS.items():
            if place != without:
                change(_at(document, place))
        self.paths: dict[str, Any] = document["paths"]
        from openapi_core import Config, OpenAPI  # a second; most who hear the wire never ask

        self._openapi = OpenAPI.from_dict(document, Config(spec_validator_cls=None))
        self.checked: Counter[str] = Counter()

    def template(self, method: str, path: str) -> str | None:
        """Return the published path that a request's path is an example of, if there is one."""
        if any(f"{method} {path}".startswith(known) for known in _unpublished(path)):
            return None
        for template, operations in self.paths.items():
            pattern = re.sub(r"\{\w+\}", "[^/]+", template) + "/?"
            if method.lower() in operations and re.fullmatch(pattern, path):
                return str(template)
        raise AssertionError(f"{method} {path} is neither published nor known to be unpublished")

    def complaints(self, one: Heard) -> Iterator[str]:
        """Hold a request and its answer against the file; yield what does not agree."""
        template = self.template(one.method, one.path)
        if template is None or one.status == 301:  # a path without its slash is not in the file
            return
        self.checked[f"{one.method} {template} {one.status}"] += 1
        from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest, WerkzeugOpenAPIResponse

        request = WerkzeugOpenAPIRequest(Request(_environ(one)))
        answer = WerkzeugOpenAPIResponse(
            Response(one.answer, one.status, headers=one.answer_headers)
        )
        errors = [("answer", self._openapi.iter_response_errors(request, answer))]
        if one.status < 400:  # what the service refuses, the file may refuse as well
            errors.append(("request", self._openapi.iter_request_errors(request)))
        for side, found in errors:
            for error in found:
                for text in _causes(error):
                    yield f"{one.method} {template} {one.status}: {side}: {text}"


@cache
def _as_json(path: Path) -> str:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return json.dumps(yaml.load(path.read_text(), Loader=loader))


def _unpublished(path: str) -> Iterator[str]:
    for known in UNPUBLISHED:
        where = known.split()[1]
        if path == where or (where == "/simulated-storage/" and path.startswith(where)):
            yield known


def _environ(one: Heard) -> dict[str, Any]:
    own = ("host", "content-length")
    builder = EnvironBuilder(
        method=one.method,
        path=one.path.rstrip("/"),  # the service wants a slash at the end, the file writes none
        query_string=one.query,
        data=one.body,
        headers=[(name, value) for name, value in one.headers if name.lower() not in own],
        content_type=one.content_type,
        base_url="http://localhost",
    )
    return builder.get_environ()


def _at(document: Any, place: str) -> Any:
    for name in place.split(" > "):
        document = document[name]
    return document


def _causes(error: BaseException) -> Iterator[str]:
    """Return the innermost reasons of a complaint."""
    inner = getattr(error, "schema_errors", None)
    if inner:
        for one in inner:
            yield f"{one.json_path}: {one.message[:200]}"
    elif error.__cause__ is not None:
        yield from _causes(error.__cause__)
    else:
        yield f"{type(error).__name__}: {error}"


__all__ = ["CORRECTIONS", "UNPUBLISHED", "Heard", "Reference", "Wiretap"]
