import re
from pathlib import Path

import yaml

from watcher import settings
from watcher.demo.pipeline import ENVIRONMENT, SERVICE
from watcher.model.service import Mode, Role

ROOT = Path(__file__).parents[3]
SECRET = "whsec_" + "A" * 32


def test_the_demo_s_configuration_acts_on_the_service_that_its_pipeline_ships() -> None:
    environ = {
        "SHOP_URL": "http://127.0.0.1:1",
        "LISTEN": "127.0.0.1:2",
        "WATCHER_STORE": "watcher.db",
        "HOOK_TOKEN": "t" * 32,
        "ROLLBACK_URL": "http://127.0.0.1:3/rollback",
        "ROLLBACK_SECRET": SECRET,
    }
    loaded = settings.load(str(ROOT / "config" / "demo.yaml"), environ)
    assert loaded.warnings == ()
    (service,) = loaded.services.values()
    assert service.mode is Mode.ACT
    assert service.match == {"service": SERVICE}
    assert ENVIRONMENT == "production"
    assert [signal.name for signal in service.signals if signal.role is Role.REQUIRED] == [
        "conversion",
        "errors",
        "p95",
    ]
    assert service.window + service.recovery_window < 120


def test_the_guide_s_configuration_is_right_at_every_step(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "getting-started.md").read_text()
    environ = {
        "HOOK_TOKEN": "t" * 32,
        "ZENDESK_TOKEN": "z" * 32,
        "SLACK_URL": "https://hooks.slack.example/x",
        "ROLLBACK_SECRET": SECRET,
    }
    blocks = re.findall(r"^( *)```yaml\n(.*?)^ *```", guide, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    whole: dict[str, object] = {}
    for _, block in blocks:
        whole = _merged(whole, yaml.safe_load(block))
        (tmp_path / "watcher.yaml").write_text(yaml.safe_dump(whole))
        assert settings.load(str(tmp_path / "watcher.yaml"), environ).warnings == ()


def _merged(old: object, new: object) -> dict[str, object]:
    assert isinstance(new, dict)
    base = old if isinstance(old, dict) else {}
    return base | {
        key: _merged(base[key], value)
        if isinstance(value, dict) and isinstance(base.get(key), dict) and "kind" not in value
        else value
        for key, value in new.items()
    }
