"""``distillex models sign | verify``, with real keys."""

from __future__ import annotations

import subprocess
import sys

import pytest
from distillex.command.main import application
from typer.testing import CliRunner

pytest.importorskip("model_signing", reason="needs model-signing: pip install 'distillex[signing]'")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402


def write_keys(folder, name, password=None):
    key = ec.generate_private_key(ec.SECP256R1())
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden))
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def models(*arguments):
    done = CliRunner().invoke(application, ["models", *map(str, arguments)])
    return done.exit_code, done.output


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.onnx", "crf.json", "model.safetensors"):
        (folder / name).write_text(name, encoding="utf-8")
    return folder


@pytest.fixture
def keys(tmp_path):
    return write_keys(tmp_path, "own")


def test_a_signed_model_is_as_signed_until_a_file_changes(model, keys):
    private, public = keys
    assert models("sign", model, "--key", private) == (0, f"{model / 'model.sig'}: signed\n")
    assert models("verify", model, "--key", public) == (0, f"{model}: as signed\n")
    (model / "crf.json").write_text("other", encoding="utf-8")
    code, output = models("verify", model, "--key", public)
    assert (code, "crf.json" in output, "model.onnx" in output) == (1, True, False)


@pytest.mark.parametrize("change", ["added", "taken away"])
def test_a_file_that_was_added_or_taken_away_is_named(model, keys, change):
    private, public = keys
    models("sign", model, "--key", private)
    if change == "added":
        (model / "extra.py").touch()
    else:
        (model / "model.onnx").unlink()
    code, output = models("verify", model, "--key", public)
    assert (code, {"added": "extra.py", "taken away": "model.onnx"}[change] in output) == (1, True)


def test_what_is_not_shipped_may_be_missing_or_there(model, keys):
    private, public = keys
    models("sign", model, "--key", private, "--ignore", "model.safetensors")
    assert models("verify", model, "--key", public)[0] == 0
    (model / "model.safetensors").unlink()
    assert models("verify", model, "--key", public)[0] == 0


def test_a_signature_with_another_key_is_refused(model, keys, tmp_path):
    models("sign", model, "--key", write_keys(tmp_path, "other")[0])
    code, output = models("verify", model, "--key", keys[1])
    assert (code, "not what was signed with the key of" in output) == (1, True)


def test_an_encrypted_key_takes_its_password_from_the_environment(model, tmp_path, monkeypatch):
    private, public = write_keys(tmp_path, "hidden", b"secret")
    assert models("sign", model, "--key", private)[0] == 1
    monkeypatch.setenv("DISTILLEX_SIGNING_PASSWORD", "secret")
    assert models("sign", model, "--key", private)[0] == 0
    assert models("verify", model, "--key", public)[0] == 0


def test_files_that_are_not_there_are_named(model, keys, tmp_path):
    assert "not a folder" in models("sign", tmp_path / "nothing", "--key", keys[0])[1]
    assert "model.sig: there is no such file" in models("verify", model, "--key", keys[1])[1]


def test_a_missing_package_is_named_when_it_is_needed():
    code = (
        "import sys; sys.modules['model_signing'] = None\n"
        "sys.argv = ['distillex', 'models', *sys.argv[1:]]\n"
        "from distillex.command.main import run; run()"
    )

    def run(*arguments):
        return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)

    assert run("--help").returncode == 0
    done = run("verify", ".", "--key", __file__, "--signature", __file__)
    assert done.returncode == 1
    assert "pip install 'distillex[signing]'" in done.stderr
