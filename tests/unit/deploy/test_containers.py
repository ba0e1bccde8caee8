"""What cannot be run here (an image build, a cluster) is checked statically, as far as that goes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import watcher
from watcher import settings

ROOT = Path(watcher.__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml*"))
SECRETS = {f"WATCHER_{name}_TOKEN": f"{name.lower()}-0123456789" for name in ("READ", "APPROVE", "HOOK")}


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name}\s+(.+)$", DOCKERFILE, re.MULTILINE)


def manifest(kind: str) -> dict[str, Any]:
    documents = (yaml.safe_load(path.read_text()) for path in MANIFESTS)
    found: dict[str, Any] = next(document for document in documents if document["kind"] == kind)
    return found


class TestImage:
    def test_only_pinned_and_hashed_wheels_get_in(self) -> None:
        assert set(instructions("FROM")) == {"python:3.11-slim-bookworm AS build", "python:3.11-slim-bookworm"}
        assert not instructions("ADD")
        installs = [command for command in instructions("RUN") if "pip install" in command]
        assert len(installs) == 1
        assert "--require-hashes --only-binary=:all: -r /build/requirements.txt" in installs[0]
        pins = re.split(r"\n(?=\S)", (ROOT / "requirements.txt").read_text().strip())
        pins = [pin for pin in pins if not pin.startswith("#")]
        assert len(pins) > 20
        assert all(re.match(r"[\w.-]+(\[\w+\])?==\S+", pin) and "--hash=sha256:" in pin for pin in pins)

    def test_it_runs_as_nobody_and_says_so_in_numbers(self) -> None:
        assert instructions("USER") == ["10001:10001"]
        after = DOCKERFILE.split("USER 10001:10001")[1]
        assert "RUN" not in after
        assert "COPY" not in after
        assert instructions("VOLUME") == instructions("WORKDIR") == ["/var/lib/watcher"]
        assert instructions("STOPSIGNAL") == ["SIGTERM"]

    def test_its_version_is_the_products(self) -> None:
        assert f'image.version="{watcher.__version__}"' in DOCKERFILE
        assert f"deploy-watch:{watcher.__version__} ." in DOCKERFILE
        assert COMPOSE["services"]["watcher"]["image"] == f"deploy-watch:{watcher.__version__}"
        pod = manifest("Deployment")["spec"]["template"]["spec"]
        assert [container["image"] for container in pod["containers"]] == [f"deploy-watch:{watcher.__version__}"]

    @pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
    def test_the_health_check_tells_a_dead_daemon(self, status: int, code: int) -> None:
        asked: list[str] = []

        class Health(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        (health,) = instructions("HEALTHCHECK")
        argv = yaml.safe_load(health.partition("CMD ")[2])
        with HTTPServer(("127.0.0.1", 0), Health) as server:
            thread = threading.Thread(target=server.handle_request, daemon=True)
            thread.start()
            program = argv[2].replace(":8080/", f":{server.server_port}/")
            run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=120)
            thread.join(60)
        assert (run.returncode, asked) == (code, ["/healthz"])
        assert instructions("EXPOSE") == ["8080"]

    def test_what_is_copied_is_enough_to_run_without_writing(self, tmp_path: Path) -> None:
        """The image holds the package alone: no metadata of an installation, no demo, nothing writable."""
        ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
        assert [line for line in ignored if line.startswith("!")] == ["!requirements.txt", "!watcher"]
        assert "watcher/demo" in ignored
        shutil.copytree(ROOT / "watcher", tmp_path / "watcher", ignore=shutil.ignore_patterns("__pycache__", "demo"))
        entry = yaml.safe_load(instructions("ENTRYPOINT")[0])[1:]
        assert shlex.join(entry) == "-m watcher"
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        program = (
            "import runpy, sys, watcher.app; sys.argv[1:] = ['--version'];"
            "runpy.run_module('watcher', run_name='__main__')"
        )
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout) == (0, f"watcher, version {watcher.__version__}\n"), run.stderr
        assert sorted(path.name for path in tmp_path.rglob("*.pyc")) == []


class TestCompose:
    def test_the_watcher_is_locked_in(self) -> None:
        service = COMPOSE["services"]["watcher"]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert int(service["stop_grace_period"].removesuffix("s")) > 10

    def test_nothing_is_served_beyond_this_machine(self) -> None:
        ports = [port for service in COMPOSE["services"].values() for port in service["ports"]]
        assert len(ports) == 2
        assert all(port.startswith("127.0.0.1:") for port in ports)

    def test_every_file_and_volume_is_there(self) -> None:
        for service in COMPOSE["services"].values():
            for mount in service["volumes"]:
                source = mount.split(":")[0]
                assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], mount
        build = COMPOSE["services"]["watcher"]["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")

    def test_its_configuration_is_right_and_gets_its_secrets(self) -> None:
        given = COMPOSE["services"]["watcher"]["environment"]
        wanted = set(re.findall(r"\$\{(\w+)", (DEPLOY / "watcher.yaml").read_text()))
        assert wanted == set(given)
        assert all(":?" in given[name] for name in SECRETS), "a missing secret must stop compose"
        loaded = settings.load(str(DEPLOY / "watcher.yaml"), SECRETS)
        assert (loaded.server.host, loaded.server.port) == ("0.0.0.0", 8080)
        assert loaded.warnings == ()


class TestKubernetes:
    @pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
    def test_manifest(self, path: Path) -> None:
        document = yaml.safe_load(path.read_text())
        kubernetes_validate.validate(document, "1.33", strict=True)
        assert document["metadata"]["name"] == "deploy-watch"

    def test_the_pod_meets_the_restricted_standard(self) -> None:
        """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
        pod = manifest("Deployment")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == int(instructions("USER")[0].split(":")[0])
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }

    def test_one_pod_holds_the_file_store(self) -> None:
        spec = manifest("Deployment")["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
        mounts = {
            mount["mountPath"]: mount["name"] for mount in spec["template"]["spec"]["containers"][0]["volumeMounts"]
        }
        volumes = {volume["name"]: volume for volume in spec["template"]["spec"]["volumes"]}
        claim = volumes[mounts[instructions("WORKDIR")[0]]]["persistentVolumeClaim"]["claimName"]
        assert claim == manifest("PersistentVolumeClaim")["metadata"]["name"]
        assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 10

    def test_probes_and_the_service_reach_the_port(self) -> None:
        (container,) = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
        assert container["ports"] == [{"name": "http", "containerPort": 8080}]
        paths = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert paths == {
            "startupProbe": {"path": "/healthz", "port": "http"},
            "livenessProbe": {"path": "/healthz", "port": "http"},
            "readinessProbe": {"path": "/readyz", "port": "http"},
        }
        service = manifest("Service")["spec"]
        labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
        assert service["selector"].items() <= labels.items()
        assert service["ports"][0]["targetPort"] == "http"
        policy = manifest("NetworkPolicy")["spec"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()
        assert policy["policyTypes"] == ["Ingress", "Egress"]

    def test_the_configuration_is_right_and_gets_its_secrets(self, tmp_path: Path) -> None:
        template = manifest("Secret")["stringData"]
        assert set(template) == set(SECRETS)
        assert not any(template.values()), "an example must not hold a secret that somebody keeps"
        (tmp_path / "watcher.yaml").write_text(manifest("ConfigMap")["data"]["watcher.yaml"])
        loaded = settings.load(str(tmp_path / "watcher.yaml"), SECRETS)
        assert loaded.store_url.get_secret_value() == "sqlite:////var/lib/watcher/watcher.db"
        assert loaded.warnings == ()
