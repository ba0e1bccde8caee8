"""`python -m watcher.demo`: opens a shop, runs the real watcher beside it, ships a good deploy and a bad one.

Everything lives in a temporary folder and on free loopback ports. In the environment, STAY=1 keeps it all running at
the end, and SEED=n seeds the shop's traffic.
"""

from __future__ import annotations

import base64
import io
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from watcher.demo.pipeline import Hooks, Pipeline
from watcher.demo.processes import Child, DemoError, free_port, tail
from watcher.demo.story import GOOD, Story
from watcher.demo.terminal import Screen
from watcher.demo.wire import CallError, call

CONFIG = Path(__file__).parents[2] / "config" / "demo.yaml"
_START = 30.0  # seconds for the daemon to be ready


def main() -> int:
    """Exit status: 0 if everything went as it should, 1 if not, 130 on Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT, too: a shell's background jobs begin with it ignored
        signal.signal(number, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character must not end the demo
    screen = Screen()
    try:
        with ExitStack() as stack:
            return _play(screen, stack)
    except KeyboardInterrupt:
        screen.say("demo", "stopped")
        return 130


def _play(screen: Screen, stack: ExitStack) -> int:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="watcher-demo-")))
    log = folder / "watcher.log"
    try:
        return _open(screen, stack, folder, log)
    except (DemoError, CallError) as error:
        screen.say("demo", str(error), "bad")
        screen.raw(tail(getattr(error, "log", None) or log))
        return 1


def _open(screen: Screen, stack: ExitStack, folder: Path, log: Path) -> int:
    if not CONFIG.exists():
        raise DemoError(f"{CONFIG} is missing: the demo runs from a checkout of the repository")
    screen.title("deploy-watch: a shop in fast motion, a good deploy, a bad deploy")
    seed = int(os.environ.get("SEED") or secrets.randbelow(2**31))
    shop = stack.enter_context(
        Child.start("shop", _python("watcher.demo.shop", "--seed", str(seed)), folder / "shop.log")
    )
    shop_url = shop.first_line()
    screen.say("shop", f"open at {shop_url}/metrics, with a helpdesk and two hours of past (SEED={seed})")

    watcher_url = f"http://127.0.0.1:{free_port()}"
    hooks = Hooks(shop_url, f"{watcher_url}/hooks/pipeline", secrets.token_hex(24))
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    pipeline = Pipeline(hooks, secret, "v1")
    pipeline.server.start()
    stack.callback(pipeline.server.stop)
    environment = {
        "SHOP_URL": shop_url,
        "LISTEN": watcher_url.removeprefix("http://"),
        "WATCHER_STORE": str(folder / "watcher.db"),
        "HOOK_TOKEN": hooks.token,
        "ROLLBACK_URL": pipeline.rollback_url,
        "ROLLBACK_SECRET": secret,
    }
    _import_past(screen, shop_url, folder, log, environment)
    argv = _python("watcher", "run", "--config", str(CONFIG))
    watcher = stack.enter_context(Child.start("watcher", argv, log, environment))
    _wait_ready(watcher, watcher_url)
    screen.say("watcher", f"ready; its page: {watcher_url}/", "title")

    try:
        good = Story(screen, pipeline, watcher, shop_url, watcher_url).tell()
    except CallError:
        watcher.check()  # a daemon that died says more than a refused connection
        raise
    _ending(screen, good, watcher_url, log)
    return 0 if good else 1


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _import_past(screen: Screen, shop_url: str, folder: Path, log: Path, environment: dict[str, str]) -> None:
    past = folder / "past.om"
    past.write_bytes(call("GET", f"{shop_url}/history", timeout=60))
    with log.open("a") as output:
        done = subprocess.run(
            _python("watcher", "import", "--config", str(CONFIG), "--source", "shop", str(past)),
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            check=False,
        )
    if done.returncode:
        raise DemoError(f"watcher import ended with status {done.returncode}", log)
    screen.say("watcher", f"watcher import: {done.stdout.strip()}")


def _wait_ready(watcher: Child, url: str) -> None:
    until = time.monotonic() + _START
    while True:
        watcher.check()
        try:
            call("GET", f"{url}/readyz", timeout=2)
        except CallError as error:
            if time.monotonic() > until:
                raise DemoError(f"the watcher was not ready within {_START:.0f} s: {error}", watcher.log) from error
            time.sleep(0.2)
        else:
            return


def _ending(screen: Screen, good: bool, watcher_url: str, log: Path) -> None:
    if good:
        screen.say("demo", f"The bad deploy was rolled back to {GOOD}, and the good one was left alone.", "good")
    else:
        screen.say("demo", "Something did not go as it should; the end of the watcher's log:", "bad")
        screen.raw(tail(log))
    if os.environ.get("STAY") == "1":
        screen.say("demo", f"still running: {watcher_url}/ (Ctrl-C stops it)", "title")
        with suppress(KeyboardInterrupt):
            signal.pause()
        screen.say("demo", "stopped")


if __name__ == "__main__":
    sys.exit(main())
