import io

from watcher.demo.terminal import Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_elsewhere_than_on_a_terminal_there_is_no_colour_and_no_flood() -> None:
    out, clock = io.StringIO(), Clock()
    screen = Screen(out, clock)
    screen.say("watcher", "v2 is healthy", "good")
    for _ in range(25):
        clock.at += 1
        screen.progress("watching")
    text = out.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.count("watching") == 2
    assert "  0:20              watching" in text


def test_on_a_terminal_progress_is_overwritten() -> None:
    out, clock = Terminal(), Clock()
    screen = Screen(out, clock)
    screen.progress("one")
    screen.progress("two")
    screen.say("watcher", "done", "good")
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().count("\r\x1b[2K") == 3
    assert "\x1b[32mdone\x1b[0m" in out.getvalue()


def test_a_long_sentence_is_wrapped_under_itself() -> None:
    out = io.StringIO()
    Screen(out, Clock()).say("watcher", "word " * 60)
    first, *rest = out.getvalue().rstrip("\n").split("\n")
    assert rest
    assert all(line.startswith(" " * 20 + "word") for line in rest)
    assert first.startswith("  0:00  watcher     word")
