"""What is published of the configuration is current: the JSON schema, the tables of the docs, the two example files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from watcher import registry, settings
from watcher.cli.schema import framed
from watcher.kit.http import Polled
from watcher.settings.loading import SECTIONS
from watcher.settings.options import HeartbeatOptions, LimitsOptions, ServerOptions, StoreOptions, TokenOptions
from watcher.settings.service_options import FreezeOptions, PolicyOptions, ServiceOptions, SignalOptions

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config"
EXAMPLES = ("watcher.example.yaml", "watcher.minimal.yaml")

OWN = (
    *(ServerOptions, TokenOptions, StoreOptions, HeartbeatOptions, LimitsOptions, PolicyOptions),
    *(FreezeOptions, ServiceOptions),
    *(SignalOptions, Polled),
)
ADAPTERS = [(section, kind) for section in registry.TABLES for kind in registry.kinds(section)]
ASKED = [(section, kind) for section, kind in ADAPTERS if section in {"sources", "ticket_systems"}]


def schema() -> Any:
    return json.loads((CONFIG / "watcher.schema.json").read_text("utf-8"))


def mistakes(tree: Any) -> list[str]:
    return [
        f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(schema()).iter_errors(tree)
    ]


def environ_of(text: str) -> dict[str, str]:
    """Something that fits for every variable that a file names."""
    names = re.findall(r"\$\{(\w+)", text)
    return {name: "https://hooks.example.com/x" if name.endswith("URL") else f"a-secret-for-{name}" for name in names}


def test_the_schema_is_current() -> None:
    assert schema() == settings.json_schema(), "run: watcher schema --output config/watcher.schema.json"


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_tables_of_the_docs_are_current() -> None:
    document = (ROOT / "docs" / "config.md").read_text("utf-8")
    assert document == framed(document, settings.markdown()), "run: watcher schema --markdown --output docs/config.md"


def test_every_option_is_described() -> None:
    models = [*OWN, *(registry.adapter(*adapter).Options for adapter in ADAPTERS)]
    models += [registry.adapter(*adapter).Query for adapter in ASKED]
    missing = [
        f"{model.__module__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert missing == []


@pytest.mark.parametrize("kind", registry.kinds("sources"))
def test_a_query_has_no_key_of_every_signal(kind: str) -> None:
    """They stand side by side in one mapping."""
    assert not registry.adapter("sources", kind).Query.model_fields.keys() & SignalOptions.model_fields.keys()


@pytest.mark.parametrize("adapter", ADAPTERS, ids="-".join)
def test_an_adapters_options_leave_kind_alone_and_refuse_what_they_do_not_know(adapter: tuple[str, str]) -> None:
    model = registry.adapter(*adapter).Options
    assert "kind" not in model.model_fields
    assert model.model_config.get("extra") == "forbid"


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_right(name: str) -> None:
    text = (CONFIG / name).read_text("utf-8")
    found = settings.load(str(CONFIG / name), environ_of(text))
    assert found.services
    assert not found.warnings
    assert mistakes(yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("services", "checkout", "windw"), "1h"),
        (("services", "checkout", "mode"), "auto"),
        (("services", "checkout", "window"), "an hour"),
        (("services", "checkout", "signals", "conversion", "harm"), "sideways"),
        (("services", "checkout", "signals", "conversion", "godo"), "orders_total"),
        (("services", "Checkout"), {"signals": {}}),
        (("sources", "shop", "kind"), "promethius"),
        (("sources", "shop", "timeout"), "soon"),
        (("hooks", "pipeline"), {"secret": "without its kind"}),
        (("serices",), {}),
    ],
)
def test_the_schema_finds_slips(path: tuple[str, ...], value: object) -> None:
    tree = yaml.safe_load((CONFIG / "watcher.minimal.yaml").read_text("utf-8"))
    at = tree
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    assert mistakes(tree)


@pytest.mark.parametrize("value", ["${ANY}", "file:/run/secrets/any", "${A:-b}"])
@pytest.mark.parametrize(
    "path",
    [
        ("services", "checkout", "mode"),
        ("services", "checkout", "window"),
        ("services", "checkout", "false_rollback_probability"),
        ("services", "checkout", "signals", "conversion", "harm"),
        ("sources", "shop", "timeout"),
        ("sources", "shop", "max_bytes"),
        ("server", "max_body"),
    ],
)
def test_the_schema_allows_a_reference_for_every_scalar(path: tuple[str, ...], value: str) -> None:
    tree = yaml.safe_load((CONFIG / "watcher.minimal.yaml").read_text("utf-8"))
    at = tree
    for part in path[:-1]:
        at = at.setdefault(part, {})
    at[path[-1]] = value
    assert mistakes(tree) == []


def blocks(text: str, start: str, key: str) -> Iterator[str]:
    """The texts of the entries under `start:` (a key at any depth), remarks included, that hold `kind: key`."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not re.match(rf"\s*{start}:\s*(#.*)?$", line):
            continue
        indent = len(line) - len(line.lstrip())
        body: list[str] = []
        for below in lines[number + 1 :]:
            if below.strip() and len(below) - len(below.lstrip()) <= indent:
                break
            body.append(below)
        # A rollback is one adapter, not names of several.
        entries = ["\n".join(body)] if start == "rollback" else _entries(body)
        yield from (entry for entry in entries if re.search(rf"^\s*(# )?{key}\s*($|#)", entry, re.MULTILINE))


def _entries(body: list[str]) -> Iterator[str]:
    indents = [len(line) - len(line.lstrip()) for line in body if line.strip()]
    entry: list[str] = []
    for line in body:
        starts = line.strip() and not line.lstrip().startswith("#") and len(line) - len(line.lstrip()) == min(indents)
        if starts and entry:
            yield "\n".join(entry)
            entry = []
        entry.append(line)
    yield "\n".join(entry)


def stands_in(text: str, option: str) -> bool:
    """Whether `option` is a key in `text`, in use or as a remark that only needs its `# ` removed."""
    return re.search(rf"^\s*(# )?(- )?{option}:|[{{,] ?{option}:", text, re.MULTILINE) is not None


def missing_of(model: type[BaseModel], text: str, *, shared: bool = False) -> list[str]:
    names = [name for name in model.model_fields if shared or name not in Polled.model_fields or model is Polled]
    return [name for name in names if not stands_in(text, name)]


def example() -> str:
    return (CONFIG / "watcher.example.yaml").read_text("utf-8")


def test_the_example_has_every_section_and_every_option_of_ours() -> None:
    text = example()
    assert [section for section in SECTIONS if not re.search(rf"^{section}:", text, re.MULTILINE)] == []
    assert [f"{model.__name__}: {missing}" for model in OWN if (missing := missing_of(model, text))] == []


@pytest.mark.parametrize("adapter", ADAPTERS, ids="-".join)
def test_the_example_has_every_option_of_every_adapter(adapter: tuple[str, str]) -> None:
    section, kind = adapter
    found = list(blocks(example(), section, f"kind: {kind}"))
    assert found, f"no {kind} under {section}"
    assert missing_of(registry.adapter(section, kind).Options, "\n".join(found)) == []


@pytest.mark.parametrize("adapter", ASKED, ids="-".join)
def test_the_example_has_every_key_of_every_query(adapter: tuple[str, str]) -> None:
    section, kind = adapter
    tree = yaml.safe_load(example())
    names = [name for name, options in tree[section].items() if options["kind"] == kind]
    asks = "source" if section == "sources" else "tickets"
    found = [entry for name in names for entry in blocks(example(), "signals", f"{asks}: {name}")]
    assert found, f"no signal asks {names}"
    assert missing_of(registry.adapter(section, kind).Query, "\n".join(found), shared=True) == []


def test_every_option_of_the_example_has_a_remark() -> None:
    """A line that sets something is explained beside it or by the remark right above."""
    lines = example().splitlines()
    bare = []
    for number, line in enumerate(lines):
        sets = re.match(r"\s*(# )?(- )?[a-z_]+:(\s|$)", line)
        if (
            sets
            and "#" not in line.replace("# ", "", 1 if sets[1] else 0)
            and not lines[number - 1].lstrip().startswith("# ")
        ):
            bare.append(f"{number + 1}: {line}")
    assert bare == []
