"""`compose.yaml`: what Compose would make of it, as far as that can be known without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import LINES, load_settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?:(:[-?])([^}]*))?\}")
EXAMPLE = dict(
    line.split("=", 1)
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def interpolated(text: str, values: dict[str, str]) -> str:
    """Do as Compose does with `${NAME}`, `${NAME:-default}` and `${NAME:?complaint}`."""

    def value(match: re.Match[str]) -> str:
        name, how, rest = match.groups()
        if values.get(name):
            return values[name]
        if how == ":?":
            raise KeyError(f"{name}: {rest}")
        return rest or ""

    return VARIABLE.sub(value, text)


def test_every_variable_is_in_the_example_and_nothing_else_is():
    named = {match[0] for match in VARIABLE.findall(TEXT)}
    named |= {secret["environment"] for secret in COMPOSE["secrets"].values()}
    assert named == set(EXAMPLE)


def test_no_secret_is_in_the_file_and_none_has_a_default():
    secret = re.compile("PASSWORD|TOKEN|KEY")
    for name, how, default in VARIABLE.findall(TEXT):
        assert not secret.search(name) or how == ":?", name
        assert not (secret.search(name) and EXAMPLE[name]), name
        assert default or how != ":?", name
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if secret.search(name) and name != "MARIADB_RANDOM_ROOT_PASSWORD":
                assert VARIABLE.fullmatch(value), name


@pytest.mark.parametrize("name", OURS)
def test_everything_that_is_said_to_tickgate_is_a_setting_that_it_accepts(name):
    known = {line.env for line in LINES.values()}
    environment = SERVICES[name]["environment"]
    assert set(environment) <= known
    given = {secret: "x" for secret, value in EXAMPLE.items() if not value} | {
        one: value for one, value in EXAMPLE.items() if value
    }
    given["SERVER_TRUSTED_PROXIES"] = "172.16.0.0/12"
    values = {one: interpolated(str(value), given) for one, value in environment.items()}
    settings = load_settings(None, values, {})
    assert settings.messaging.nats.url == "nats://nats:4222"
    assert settings.auth.anonymous == "no"


@pytest.mark.parametrize("missing", [name for name, how, _ in VARIABLE.findall(TEXT) if how == ":?"])
def test_a_secret_that_is_missing_is_complained_of(missing):
    given = {name: "x" for name in EXAMPLE if name != missing}
    with pytest.raises(KeyError, match=missing):
        interpolated(TEXT, given)


def test_every_image_is_pinned():
    for name, service in SERVICES.items():
        image = interpolated(service["image"], {})
        assert re.search(r":v?\d+\.\d+\.\d+[\w.-]*$", image), f"{name}: {image}"


def test_every_address_and_dependency_is_a_service():
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= SERVICES.keys(), name
        for value in service.get("environment", {}).values():
            for host in re.findall(r"^\w+://([a-z]+):\d+|^([a-z]+):\d+$", str(value)):
                assert "".join(host) in SERVICES, value
    assert {SERVICES["tickgate"]["environment"][one] for one in ("MYSQL_HOST",)} <= SERVICES.keys()


def test_whoever_is_waited_for_says_how_it_is():
    for service in SERVICES.values():
        for other, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], other
            if condition["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "no", other


def test_volumes_and_secrets_are_declared_and_files_are_there():
    used = {one.split(":")[0] for service in SERVICES.values() for one in service.get("volumes", [])}
    files = {one for one in used if one.startswith(".")}
    assert used - files == set(COMPOSE["volumes"])
    assert all((ROOT / one).is_dir() for one in files)
    assert {one for service in SERVICES.values() for one in service.get("secrets", [])} == set(
        COMPOSE["secrets"]
    )


def test_nothing_is_open_to_the_outside_by_default():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(interpolated(port, {}).startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", OURS)
def test_ours_run_with_nothing_that_they_do_not_need(name):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_prometheus_and_grafana_find_each_other():
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (scrape,) = prometheus["scrape_configs"]
    assert scrape["static_configs"][0]["targets"] == ["tickgate:8080"]
    assert (
        scrape["authorization"]["credentials_file"] == f"/run/secrets/{SERVICES['prometheus']['secrets'][0]}"
    )
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards/tickgate.yml").read_text())["providers"]
    assert any(one.split(":")[1] == provider["options"]["path"] for one in SERVICES["grafana"]["volumes"])
