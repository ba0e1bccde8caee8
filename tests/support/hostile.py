"""Answers that nobody expects: any JSON at all, and right answers with one thing in them replaced by something else."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel
from support.fault_server import Answer, Request

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(document: Any) -> list[tuple[Any, ...]]:
    """The path of every value in `document`, itself included."""
    found: list[tuple[Any, ...]] = [()]
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inner:
        found += [(key, *path) for path in places(value)]
    return found


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of `document` with `value` at `path`."""
    if not path:
        return value
    changed = copy.deepcopy(document)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return changed


def nearly(document: Any) -> st.SearchStrategy[Any]:
    """`document` with one of its values replaced by anything."""
    return st.builds(lambda path, value: replaced(document, path, value), st.sampled_from(places(document)), anything)


SECRETS = ("s3cret-password", "s3cret-header", "s3cret-token", "s3cret-param")
BASIC = tuple(
    base64.b64encode(f"{user}:{secret}".encode()).decode()
    for user in ("watcher", "watcher/token", "")
    for secret in SECRETS
) + tuple(base64.b64encode(f"watcher/token:{secret}".encode()).decode() for secret in SECRETS)


def echo(status: int) -> Any:
    """Answers that repeat everything that was sent, in every place where an adapter may look for an error's text."""

    def answer(request: Request) -> Answer:
        said = json.dumps([dict(request.headers), dict(request.query), request.body.decode(), request.path])
        body = {"status": "error", "errorType": "bad_data", "error": said, "message": said, "description": said}
        return Answer.of(body, status)

    return answer


def assert_silent(*texts: object) -> None:
    """No secret, plain or as basic authentication, in any of `texts`."""
    for text in texts:
        leaked = [secret for secret in (*SECRETS, *BASIC) if secret in str(text) or secret in repr(text)]
        assert not leaked, (leaked, text)


def assert_strict(model: type[BaseModel], good: dict[str, Any]) -> None:
    """`model` takes `good`, refuses what it does not know, and does not change once made."""
    made = model.model_validate(good)
    assert model.model_config.get("extra") == "forbid"
    assert model.model_config.get("frozen") is True
    assert all(field.description for field in model.model_fields.values()), "every key is described"
    assert_silent(made)
