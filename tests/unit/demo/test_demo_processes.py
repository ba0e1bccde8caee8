import sys
from pathlib import Path

import pytest

from watcher.demo.processes import Child, DemoError, free_port, tail
from watcher.demo.wire import Server


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_child_is_stopped_at_the_end_and_its_log_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import sys, time; sys.stderr.write('hello\\n'); sys.stderr.flush(); print('up', flush=True); time.sleep(600)"
    )
    with Child.start("shop", _python(code), log) as child:
        assert child.first_line() == "up"
        child.check()
    assert child.process.returncode == -15
    assert tail(log) == "hello"


def test_a_child_that_ends_by_itself_is_an_error_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Child.start("watcher", _python("import sys; print('why'); sys.exit(3)"), log) as child:
        child.process.wait(60)
        with pytest.raises(DemoError, match="the watcher ended by itself with status 3") as caught:
            child.check()
    assert caught.value.log == log
    assert tail(log) == "why"


def test_a_child_that_says_nothing_did_not_start(tmp_path: Path) -> None:
    with (
        Child.start("shop", _python("raise SystemExit(1)"), tmp_path / "log") as child,
        pytest.raises(DemoError, match="the shop did not start"),
    ):
        child.first_line()


def test_the_environment_reaches_the_child(tmp_path: Path) -> None:
    code = "import os; print(os.environ['SHOP_URL'], 'PATH' in os.environ)"
    with Child.start("shop", _python(code), tmp_path / "log", {"SHOP_URL": "http://shop"}) as child:
        assert child.first_line() == "http://shop True"


def test_only_the_last_lines_of_a_log_are_shown(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("\n".join(map(str, range(100))))
    assert tail(tmp_path / "log", 3) == "97\n98\n99"
    assert tail(tmp_path / "missing") == ""


def test_a_free_port_can_be_listened_on() -> None:
    taken = Server({})
    assert f":{free_port()}" not in taken.url
    taken.start()
    taken.stop()
