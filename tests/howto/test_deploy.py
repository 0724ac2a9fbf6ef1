"""The files of examples/deploy, which docs/deploy.md shows: served, linted, built."""

import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib.util import find_spec

import pytest

from port_webhook import sign
from port_webhook.testing import lambda_event

from .pages import ROOT, block

DEPLOY = ROOT / "examples" / "deploy"
SECRET = "the client secret of your organisation"
BODY = b'{"context":{"runId":"r_1"}}'
NEEDS_FILES = sys.platform != "win32"


def send(port, method, path, body=None, headers=None):
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def check(port):
    """The health check needs no signature, and everything else does."""
    assert send(port, "GET", "/health")[0] == 200
    assert send(port, "POST", "/port", BODY)[0] == 401
    status, body = send(port, "POST", "/port", BODY, sign(BODY, SECRET))
    assert (status, json.loads(body)) == (200, {"run": "r_1"})


@contextmanager
def served(tmp_path, module, *arguments):
    """Run a server on a socket that listens already, so that nobody has to wait."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        command = [sys.executable, "-m", module, *arguments]
        environment = {
            **os.environ,
            "HOME": str(tmp_path),  # gunicorn keeps a socket there
            "PORT_CLIENT_SECRET_FILE": str(secret),
        }
        environment.pop("PORT_CLIENT_SECRET", None)
        process = subprocess.Popen(
            [each.format(number) for each in command],
            cwd=DEPLOY,
            env=environment,
            pass_fds=[number],
            stderr=subprocess.DEVNULL,
        )
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.skipif(not NEEDS_FILES, reason="gunicorn needs a POSIX system")
def test_gunicorn_serves_the_flask_service(tmp_path):
    pytest.importorskip("gunicorn")
    arguments = ["--workers", "2", "--bind", "fd://{}", "hooks:app"]
    with served(tmp_path, "gunicorn", *arguments) as port:
        check(port)


@pytest.mark.skipif(not NEEDS_FILES, reason="file descriptors are passed on")
def test_uvicorn_serves_the_fastapi_service(tmp_path):
    pytest.importorskip("uvicorn")
    arguments = ["--workers", "2", "--fd", "{}", "asgi_hooks:app"]
    with served(tmp_path, "uvicorn", *arguments) as port:
        check(port)


def builder():
    """Return the name of a container builder that answers."""
    for name in ("podman", "docker"):
        path = shutil.which(name)
        if path is not None:
            done = subprocess.run([path, "info"], capture_output=True, check=False)
            if done.returncode == 0:
                return path
    return None


def test_the_container_is_built_and_serves(tmp_path):
    tool = builder()
    if tool is None:
        pytest.skip("neither podman nor docker runs here")
    context = tmp_path / "context"
    shutil.copytree(DEPLOY, context)
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", context, ROOT]
    subprocess.run(wheel, check=True)
    image = "port-webhook-howto"
    file = context / "Containerfile"
    build = [tool, "build", "--tag", image, "--file", file, context]
    subprocess.run(build, check=True)
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o444)
    mount = f"type=bind,source={secret},target=/run/secrets/port,readonly"
    run = [tool, "run", "--rm", "--detach", "--publish", "127.0.0.1::8000"]
    started = subprocess.run(
        [*run, "--mount", mount, image], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        code = (  # asks until the service answers
            "import urllib.request as u\n"
            "while True:\n"
            "    try:\n"
            "        u.urlopen('http://127.0.0.1:8000/health')\n"
            "    except OSError:\n"
            "        continue\n"
            "    break\n"
        )
        subprocess.run([tool, "exec", started, "python", "-c", code], check=True)
        shown = subprocess.run(
            [tool, "port", started, "8000"], check=True, capture_output=True, text=True
        ).stdout
        check(int(shown.split(":")[1].split()[0]))
    finally:
        subprocess.run([tool, "stop", started], check=True)


def test_the_function_reads_its_secret_from_secrets_manager(monkeypatch):
    moto = pytest.importorskip("moto", exc_type=ImportError)
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("PORT_SECRET_ID", "port")
    with moto.mock_aws():
        manager = boto3.client("secretsmanager")
        manager.create_secret(Name="port", SecretString=SECRET)
        handler = runpy.run_path(str(DEPLOY / "function" / "app.py"))["handler"]
        answer = handler(lambda_event(BODY, sign(BODY, SECRET)), None)
        assert json.loads(answer["body"]) == {"run": "r_1"}
        assert handler(lambda_event(BODY, {}), None)["statusCode"] == 401


def test_the_sam_template_has_no_findings():
    if find_spec("cfnlint") is None:
        pytest.skip("needs cfn-lint")
    code = "import sys; from cfnlint.runner import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, DEPLOY / "template.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_terraform_file_parses():
    hcl2 = pytest.importorskip("hcl2")
    text = (DEPLOY / "main.tf").read_text("utf-8")
    found = hcl2.loads(text)
    kinds = [kind.strip('"') for each in found["resource"] for kind in each]
    assert "aws_lambda_function" in kinds
    for kind, name in re.findall(r"\b(aws_\w+)\.(\w+)\.", text):
        assert f'resource "{kind}" "{name}"' in text


@pytest.mark.skipif(shutil.which("terraform") is None, reason="needs terraform")
def test_terraform_would_not_format_it_anew():
    command = ["terraform", "fmt", "-check", "-diff", str(DEPLOY / "main.tf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("heading", "language", "name"),
    [
        ("## gunicorn and uvicorn", "py", "hooks.py"),
        ("## A container", "dockerfile", "Containerfile"),
        ("## AWS Lambda", "py", "function/app.py"),
        ("### Terraform", "hcl", "main.tf"),
        ("### SAM", "yaml", "template.yaml"),
    ],
)
def test_the_page_shows_the_files(heading, language, name):
    shown = block("deploy.md", heading, language)
    assert shown in (DEPLOY / name).read_text("utf-8") + "\n"


def test_the_manifests_of_kubernetes_are_yaml():
    yaml = pytest.importorskip("yaml")
    shown = block("secret-stores.md", "## Kubernetes", "yaml")
    secret, deployment = yaml.safe_load_all(shown)
    assert secret["stringData"]["secrets"].splitlines()[0] == "the-new-secret"
    [volume] = deployment["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]
    assert volume["secret"]["defaultMode"] == 0o400
