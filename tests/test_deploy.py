"""The files for deployment are what the programs that read them take, and name what there is.

What they are checked with is installed by tox's environment ``release``; elsewhere these tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from support.commands import MODULE, run
from support.paths import ROOT

from pluginserver.testing import Gateway

yaml = pytest.importorskip("yaml")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

DEPLOY = ROOT / "examples" / "deploy"
PROGRAM = "/opt/plugins/venv/bin/pluginserver"
PLUGINS = "/opt/plugins/plugins"
HELLO = ROOT / "examples" / "hello.py"


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def program(name: str) -> str:
    """A checker that is installed beside this interpreter."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        pytest.skip(f"{name} is not installed")
    return str(path)


def checked(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr if done.returncode else ""


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every container of the files for Kubernetes, with the file's name."""
    pod = documents("kubernetes.yaml")[1]["spec"]["template"]["spec"]
    for one in (*pod["initContainers"], *pod["containers"]):
        yield "kubernetes.yaml", one
    for one in documents("helm-values.yaml")[0]["deployment"]["sidecarContainers"]:
        yield "helm-values.yaml", one


def kong_settings() -> Iterator[tuple[str, dict[str, str]]]:
    """Kong's settings as each file gives them, by the names of ``kong.conf``, with the file's name."""
    for name, one in containers():
        if one["name"] == "kong":
            yield name, settings((env["name"], env["value"]) for env in one["env"])
    yield "helm-values.yaml", documents("helm-values.yaml")[0]["env"]
    compose = documents("docker-compose.yaml")[0]["services"]["kong"]["environment"]
    yield "docker-compose.yaml", settings(compose.items())
    text = (DEPLOY / "kong.Dockerfile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    pairs = (word.partition("=")[::2] for word in shlex.split(line))
    yield "kong.Dockerfile", settings(pairs)


def settings(environment: Any) -> dict[str, str]:
    return {name.removeprefix("KONG_").lower(): value for name, value in environment}


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of ours, without the program, with the file's name."""
    sidecar = (DEPLOY / "sidecar.Dockerfile").read_text()
    entry, default = (
        json.loads(re.findall(rf"^{word} (\[.*\])$", sidecar, re.MULTILINE)[0])
        for word in ("ENTRYPOINT", "CMD")
    )
    assert entry[0] == PROGRAM
    yield "sidecar.Dockerfile", [*entry[1:], *default]
    for name, one in containers():
        if "args" in one:
            yield name, [*entry[1:], *one["args"]]
    compose = documents("docker-compose.yaml")[0]["services"]["python-plugins"]
    yield "docker-compose.yaml", [*entry[1:], *compose["command"]]
    unit = (DEPLOY / "pluginserver.service").read_text()
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    yield "pluginserver.service", shlex.split(line)[1:]
    for name, values in kong_settings():
        start = shlex.split(values.get("pluginserver_hello_start_cmd", ""))
        if start:
            assert start[0] == PROGRAM
            yield name, start[1:]


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_flag_is_one_of_ours(name: str, command: list[str]) -> None:
    done = run(*MODULE, *command, "-version")
    assert (done.returncode, done.stderr) == (0, b""), name


@pytest.mark.parametrize(("name", "values"), list(kong_settings()))
def test_kong_is_told_of_the_plugin_and_of_its_socket(name: str, values: dict[str, str]) -> None:
    assert values["pluginserver_names"] == "hello"
    query = shlex.split(values["pluginserver_hello_query_cmd"])
    started_by_kong = "pluginserver_hello_start_cmd" in values
    if started_by_kong:
        assert query == [PROGRAM, "-plugins-directory", PLUGINS, "-dump", "hello"]
    else:
        assert query[0] == "cat"
    prefix = PurePosixPath(values.get("prefix", "/usr/local/kong"))
    socket = PurePosixPath(values["pluginserver_hello_socket"])
    assert socket.is_relative_to(prefix) == started_by_kong, "Kong deletes it when it starts"
    if name != "kong.Dockerfile":
        listening = [words for file, words in commands() if file == name and "-dump" not in words]
        assert all(f"-socket={socket}" in words for words in listening)


@pytest.mark.parametrize(
    "document", [*documents("kubernetes.yaml"), documents("kongplugin.yaml")[1]]
)
def test_kubernetes_takes_it(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_charts_side_car_is_a_container() -> None:
    values = documents("helm-values.yaml")[0]
    deployment = values["deployment"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "containers": deployment["sidecarContainers"],
            "volumes": deployment["userDefinedVolumes"],
            "terminationGracePeriodSeconds": values["terminationGracePeriodSeconds"],
        },
    }
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    mounts = deployment["userDefinedVolumeMounts"]
    assert {one["name"] for one in mounts} == {one["name"] for one in pod["spec"]["volumes"]}


@pytest.mark.parametrize(("name", "one"), list(containers()))
def test_a_container_may_do_nothing_that_it_need_not(name: str, one: dict[str, Any]) -> None:
    rights = one["securityContext"]
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}


def test_the_server_outlives_kongs_drain() -> None:
    pod = documents("kubernetes.yaml")[1]["spec"]["template"]["spec"]
    kong = next(one for one in pod["containers"] if one["name"] == "kong")
    (wait,) = re.findall(
        r"--wait=(\d+)", " ".join(kong["lifecycle"]["preStop"]["exec"]["command"])
    )
    for name, words in commands():
        if name not in ("kong.Dockerfile", "pluginserver.service", "sidecar.Dockerfile"):
            (linger,) = (int(word.removeprefix("-linger=")) for word in words if "-linger" in word)
            assert int(wait) < linger < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", ["docker-compose.yaml"])
def test_compose_takes_it(name: str) -> None:
    checker = program("check-jsonschema")
    said = checked(checker, "--builtin-schema", "vendor.compose-spec", str(DEPLOY / name))
    assert not said, said


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*.Dockerfile")), ids=lambda path: path.name)
def test_there_is_nothing_to_say_against_an_image(path: Path) -> None:
    said = checked(program("hadolint"), "--no-color", str(path))
    assert not said, said


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if not Path("/usr/bin/systemd-analyze").exists():
        pytest.skip("there is no systemd-analyze")
    for name in ("pluginserver.service", "pluginserver.socket"):
        text = (DEPLOY / name).read_text().replace(PROGRAM, sys.executable)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "SYSTEMD_LOG_COLOR": "0"},
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("name", ["kong.yaml", "kubernetes.yaml", "kongplugin.yaml"])
def test_the_plugins_configuration_is_one_that_it_takes(name: str) -> None:
    first = documents(name)[0]
    if first.get("kind") == "KongPlugin":
        config = first["config"]
    else:
        declared = yaml.safe_load(first["data"]["kong.yaml"]) if "data" in first else first
        assert declared["_format_version"] == "3.0"
        ((service),) = declared["services"]
        ((used),) = service["plugins"]
        assert used["name"] == "hello"
        config = used["config"]
    with Gateway() as kong:
        kong.plugin(HELLO, **config)
        assert kong.get("/", headers={"host": "a"}).headers["x-hello"] == "good morning to a"
