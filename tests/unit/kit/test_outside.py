from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.kit.outside import is_clean, is_web_url, one_line


@pytest.mark.parametrize("text", ["v1", "2026.11.22-rc.1+build", "ключ", "a b", "版本 1", "👍🏽"])
def test_clean(text: str) -> None:
    assert is_clean(text, 40)


@pytest.mark.parametrize(
    "text", ["", " v1", "v1\n", "a\x00b", "a\x1b[2J", "a\x85b", "a\u2028b", "\ud800", "abc\u202ecba", "x" * 41]
)
def test_not_clean(text: str) -> None:
    assert not is_clean(text, 40)


@given(st.text(st.characters()), st.integers(1, 50))
def test_one_line_is_clean_or_empty(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line == "" or is_clean(line, limit)
    line.encode("utf-8")


def test_one_line_cuts_with_a_mark() -> None:
    assert one_line("one\r\n\ttwo\x07 three", 9) == "one two…"
    assert one_line("one two", 7) == "one two"


@pytest.mark.parametrize(
    "url", ["http://a", "https://ci.acme.example/run/1?x=y#z", "http://[::1]:8080/x", "https://bücher.example/ä"]
)
def test_web_urls(url: str) -> None:
    assert is_web_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://a/b",
        "//a/b",
        "/a",
        "http://",
        "http:///x",
        "http://[::1",
        "http://a:port/",
        "http://a:99999/",
        "http://a:0/",
        "https://user:password@a/",
        "https://a/ b",
        "https://a/\n",
        "https://a\\b",
        'https://a/"><script>',
        "https://a/" + "x" * 2000,
    ],
)
def test_other_urls(url: str) -> None:
    assert not is_web_url(url)


@given(st.text(st.characters()))
def test_no_text_raises(text: str) -> None:
    is_web_url(text)
    is_web_url("http://" + text)
