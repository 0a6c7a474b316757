"""``distillex models sign | verify``, with real keys."""

from __future__ import annotations

import subprocess
import sys

import pytest
from distillex.command.main import application
from typer.testing import CliRunner

pytest.importorskip("model_signing", reason="needs model-signing: pip install 'distillex[signing]'")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402


def write_keys(folder, name, password=None, key=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
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


@pytest.mark.parametrize("name", [".gitignore", ".gitattributes", ".git/hooks/run", ".github/run.yml"])
def test_files_of_git_are_signed_like_others(model, keys, name):
    private, public = keys
    models("sign", model, "--key", private)
    (model / name).parent.mkdir(parents=True, exist_ok=True)
    (model / name).write_text("added", encoding="utf-8")
    code, output = models("verify", model, "--key", public)
    assert (code, name in output) == (1, True), output
    models("sign", model, "--key", private)
    assert models("verify", model, "--key", public) == (0, f"{model}: as signed\n")
    (model / name).write_text("changed", encoding="utf-8")
    assert models("verify", model, "--key", public)[0] == 1


def test_a_folder_is_named_from_where_one_is(model, keys, monkeypatch):
    private, public = keys
    monkeypatch.chdir(model.parent)
    for _ in range(2):  # the second time beside a signature
        assert models("sign", model.name, "--key", private, "--ignore", "crf.json")[0] == 0
        assert models("verify", model.name, "--key", public)[0] == 0
        assert models("verify", model, "--key", public)[0] == 0
    monkeypatch.chdir(model)
    assert models("verify", ".", "--key", public)[0] == 0
    (model / "model.sig").unlink()
    models("sign", ".", "--key", private, "--signature", "../other.sig")
    assert models("verify", model, "--key", public, "--signature", "../other.sig")[0] == 0


def test_what_is_not_shipped_may_be_missing_or_there_and_is_said_to_be_unchecked(model, keys):
    private, public = keys
    (model / "runs").mkdir()
    (model / "runs" / "log").touch()
    models("sign", model, "--key", private, "--ignore", "model.safetensors", "--ignore", "runs")
    (model / "model.safetensors").write_text("other", encoding="utf-8")
    said = f"{model}: as signed; ignored when it was signed, and not checked: model.safetensors, runs/log\n"
    assert models("verify", model, "--key", public) == (0, said)
    (model / "model.safetensors").unlink()
    (model / "runs" / "log").unlink()
    assert models("verify", model, "--key", public) == (0, f"{model}: as signed\n")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
        (lambda: rsa.generate_private_key(65537, 2048), "RSA"),
        (lambda: ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
    ],
)
def test_a_key_of_another_kind_is_named_with_those_accepted(model, keys, tmp_path, make, kind):
    private, public = write_keys(tmp_path, "other", key=make())
    models("sign", model, "--key", keys[0])
    for command, key in (("sign", private), ("verify", public)):
        code, output = models(command, model, "--key", key)
        assert code == 1
        assert output.startswith(f"distillex models {command}: {key}: a key of another kind ({kind}")
        assert output.endswith("elliptic-curve keys are accepted, of P-256, P-384 and P-521\n")


def test_the_wrong_half_of_a_key_is_told(model, keys):
    private, public = keys
    assert f"{public}: no private key in PEM" in models("sign", model, "--key", public)[1]
    models("sign", model, "--key", private)
    assert f"{private}: no public key in PEM" in models("verify", model, "--key", private)[1]


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


def test_a_file_that_is_no_signature_is_named(model, keys):
    for content in ("text", "{}", '{"dsseEnvelope": {"payload": "W10="}}'):
        (model / "model.sig").write_text(content, encoding="utf-8")
        code, output = models("verify", model, "--key", keys[1])
        assert (code, "model.sig: no signature of model-signing" in output) == (1, True), output


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
