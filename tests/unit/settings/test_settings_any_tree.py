"""Whatever stands in the file: settings, or a ConfigError that repeats no secret; never anything else."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as tuned
from hypothesis import strategies as st

from watcher import registry, settings
from watcher.errors import ConfigError
from watcher.settings.options import ServerOptions, StoreOptions
from watcher.settings.service_options import PolicyOptions, ServiceOptions, SignalOptions

SECRET = "correct-horse-battery"  # no word of ours, so that it can be looked for
ENVIRON = {"SECRET": SECRET}

_MODELS = [registry.adapter(section, kind).Options for section in registry.TABLES for kind in registry.kinds(section)]
_MODELS += [
    registry.adapter(section, kind).Query
    for section in ("sources", "ticket_systems")
    for kind in registry.kinds(section)
]
_KEYS = sorted(
    {
        key
        for model in (*_MODELS, ServerOptions, StoreOptions, PolicyOptions, ServiceOptions, SignalOptions)
        for key in model.model_fields
    }
    | {"kind", "query", "service", "a", "checkout"}
)
_KINDS = sorted({kind for section in registry.TABLES for kind in registry.kinds(section)})

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "${SECRET}",
            "http://h:1",
            "5m",
            "3%",
            "up",
            "gauge",
            "count",
            "ratio",
            "act",
            "a",
            "read",
            "up{a='b'}",
            "[0]",
            "\udc80".encode("utf-8", "replace").decode(),
        ]
    )
)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


def _mapping(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from([*keys, *_KEYS]), _values, max_size=6)


def _named(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(["a", "b", "checkout"]) | st.text(max_size=2), inner | _values, max_size=3)


def _adapter(section: str) -> st.SearchStrategy[dict[str, Any]]:
    """An adapter with a kind that is there and keys of its own, with any values."""

    def of(kind: str) -> st.SearchStrategy[dict[str, Any]]:
        keys = list(registry.adapter(section, kind).Options.model_fields) or ["a"]
        return st.dictionaries(st.sampled_from(keys), _values, max_size=5).map(lambda found: {"kind": kind} | found)

    return st.sampled_from(registry.kinds(section)).flatmap(of)


_signal = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["a", "b"]),
        "kind": st.sampled_from(["gauge", "ratio", "count", "latency", "rate"]),
        "harm": st.just("up"),
    },
    optional={key: _values for key in _KEYS if key not in {"source", "kind", "harm"}} | {"tickets": _values},
) | st.fixed_dictionaries(
    {"tickets": st.sampled_from(["a", "b"]), "harm": st.just("up")}, optional={"query": _mapping()}
)
_service = st.fixed_dictionaries(
    {"signals": _named(_signal)},
    optional={"rollback": _adapter("rollback")}
    | {key: _values for key in ServiceOptions.model_fields if key != "signals"},
)
_files = st.fixed_dictionaries(
    {"services": _named(_service) | _values},
    optional={
        "server": _mapping(*ServerOptions.model_fields) | _values,
        "store": _mapping(*StoreOptions.model_fields) | _values,
        "defaults": _mapping(*PolicyOptions.model_fields) | _values,
        **{section: _named(_adapter(section)) for section in ("hooks", "sources", "ticket_systems", "notifiers")},
    },
)


@given(_files | _values)
@tuned(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
def test_any_tree(tree: Any) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "watcher.yaml"
        file.write_text(yaml.safe_dump(tree, allow_unicode=True), "utf-8")
        try:
            said = repr(settings.load(str(file), ENVIRON))
        except ConfigError as error:
            said = str(error)
            assert error.problems  # noqa: PT017  # both ends of the try are right
    assert said
    assert SECRET not in said
