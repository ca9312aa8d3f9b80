"""The names that users and notebooks rely on, and what importing them costs."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

import vastnb

PUBLIC = {
    "Client": {
        "search_offers", "search_many", "show_user", "search_templates", "gpu_types",
        "traffic", "quota", "close", "create_instance", "rent", "reconcile", "burn", "sweep",
        "has_ssh_key", "destroy_instance", "history", "gpu_metrics", "gpu_trends",
    },
    "errors": {
        "VastError", "AuthError", "RateLimited", "QuotaExceeded", "QueryError", "InvalidRequest",
        "OfferGone", "NoCredit", "NoSSHKey", "SpendLimit", "BadTemplate", "OutcomeUnknown",
        "InstanceFailed", "WaitTimeout", "ServerError",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "Client", "connect", "demo", "errors", "explore", "login", "monitor", "prices",
        "rent_form", "sim",
    ],
)  # fmt: skip
def test_every_public_name_can_be_had(name: str) -> None:
    assert name in vastnb.__all__
    assert getattr(vastnb, name) is not None


@pytest.mark.parametrize(("owner", "names"), PUBLIC.items())
def test_the_contract_names_are_there(owner: str, names: set[str]) -> None:
    assert names <= set(dir(getattr(vastnb, owner)))


def test_the_client_is_made_as_promised() -> None:
    parameters = inspect.signature(vastnb.Client).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    assert defaults.items() >= {"api_key": None, "base_url": None, "cache_ttl": 90}.items()
    assert defaults["max_wait"] == 60
    assert defaults["timeout"] == 30


def test_every_public_name_is_documented_and_typed() -> None:
    for name in vastnb.__all__:
        thing = getattr(vastnb, name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        assert inspect.getdoc(thing), name
        methods = (
            [m for n, m in vars(thing).items() if not n.startswith("_") and inspect.isfunction(m)]
            if inspect.isclass(thing)
            else [thing]
        )
        for method in methods:
            assert inspect.getdoc(method), f"{name}.{method.__name__}"
            signature = inspect.signature(method)
            assert signature.return_annotation is not signature.empty, method
            for parameter in signature.parameters.values():
                if parameter.name not in ("self", "cls"):
                    assert parameter.annotation is not parameter.empty, (method, parameter)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="explorer"):
        _ = vastnb.explorer


@pytest.mark.slow
def test_importing_vastnb_imports_no_widget_plot_or_server() -> None:
    heavy = [
        "ipywidgets",
        "anywidget",
        "IPython",
        "matplotlib",
        "werkzeug",
        "vastnb.sim",
        "vastnb.widgets",
        "vastnb.market.money.ranking",
        "vastnb.market.money.explain",
        "vastnb.market.money.summary",
    ]
    code = f"import sys, json, vastnb; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(found) == []
