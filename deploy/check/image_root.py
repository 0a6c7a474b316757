"""Carry out a Dockerfile without Docker: each instruction as it stands, in root file systems that debootstrap made.

Not a builder of images: what is proven is that the instructions work, on a Debian that is not the base image itself.
Needs Linux, root, and Debian's debootstrap, bubblewrap and util-linux.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SUITE = "bookworm"
PACKAGES = ("python3", "python3-dev", "python3-pip", "python3-venv", "libpython3.11", "ca-certificates", "openssl")
"""What the base images have and a minimal Debian has not."""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PASSED_ON = re.compile(r"(?i)(https?|no)_proxy|PIP_CERT|SSL_CERT_FILE|REQUESTS_CA_BUNDLE")
"""What a machine needs to reach its package registries."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_MOUNT = re.compile(r"--mount=(\S+)\s+")


class ImageError(RuntimeError):
    """An instruction failed, or is not one that this program knows."""


@dataclass
class Stage:
    """One stage: its root, and what its instructions set."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    user: str = "0"
    folder: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)


def why_not_here() -> str | None:
    """Return what this machine lacks, or None."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [tool for tool in ("debootstrap", "bwrap", "setpriv", "mount") if shutil.which(tool) is None]
    return f"{', '.join(missing)} missing (Debian: apt-get install debootstrap bubblewrap)" if missing else None


def base_root(folder: Path) -> Path:
    """Return a Debian with Python; made where it is not there yet."""
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        include = f"--include={','.join(PACKAGES)}"
        _run(["debootstrap", "--variant=minbase", include, SUITE, str(folder / "root")])
        # An image's Python is its own to install into; Debian's asks not to be.
        for mark in (folder / "root").glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            mark.unlink()
        (folder / "complete").touch()
    return folder / "root"


class Builder:
    """Carries out one Dockerfile; roots are overlays of one base and vanish with :meth:`close`.

    Parameters
    ----------
    dockerfile
        The file.
    context
        Folder with the files that COPY copies.
    base
        Root that stands in for every base image.
    work
        Empty folder.
    built
        Stages of other Dockerfiles, by their instructions: the same ones are not carried out twice.
    """

    def __init__(
        self, dockerfile: Path, context: Path, base: Path, work: Path, built: Mapping[str, Stage] | None = None
    ) -> None:
        self._dockerfile, self._context, self._base, self._work = dockerfile, context, base, work
        self.built = dict(built or {})
        self._global: dict[str, str] = {}
        self._mounted: list[Path] = []
        self.stages: dict[str, Stage] = {}

    def build(self) -> Stage:
        """Carry out all instructions; return the last stage.

        Raises
        ------
        ImageError
            Where one fails; names it.
        """
        from dockerfile_parse import DockerfileParser

        parser = DockerfileParser(fileobj=io.BytesIO(self._dockerfile.read_bytes()))
        lines = [line for line in parser.structure if line["instruction"] != "COMMENT"]
        begins = [number for number, line in enumerate(lines) if line["instruction"] == "FROM"]
        for line in lines[: begins[0]]:
            key, _, default = line["value"].partition("=")
            self._global[key] = default
        for begin, end in zip(begins, [*begins[1:], len(lines)], strict=True):
            name, text = _stage_name(lines[begin]["value"]), "".join(line["content"] for line in lines[begin:end])
            if text not in self.built:
                self.built[text] = stage = self._begin(name)
                for line in lines[begin + 1 : end]:
                    try:
                        self._carry_out(stage, line["instruction"], line["value"])
                    except (ImageError, OSError) as error:
                        where = f"{self._dockerfile.name}:{line['startline'] + 1}: {line['instruction']}"
                        raise ImageError(f"{where}: {error}") from None
            self.stages[name] = self.built[text]
        return self.stages[name]

    def close(self) -> None:
        """Unmount and remove the roots."""
        while self._mounted:
            subprocess.run(["umount", self._mounted.pop()], check=True)
        shutil.rmtree(self._work, ignore_errors=True)

    def _begin(self, name: str) -> Stage:
        parts = {part: self._work / name / part for part in ("upper", "work", "root")}
        for folder in parts.values():
            folder.mkdir(parents=True)
        layers = f"lowerdir={self._base},upperdir={parts['upper']},workdir={parts['work']}"
        _run(["mount", "-t", "overlay", "overlay", "-o", layers, str(parts["root"])])
        self._mounted.append(parts["root"])
        return Stage(parts["root"])

    def _carry_out(self, stage: Stage, name: str, value: str) -> None:
        if name in ("LABEL", "EXPOSE"):
            return
        if name == "ARG":
            key, _, default = value.partition("=")
            stage.arguments[key] = self._global.get(key, default)
        elif name == "ENV":
            for word in shlex.split(value):
                key, _, text = word.partition("=")
                stage.environment[key] = _substituted(text, {"PATH": DEFAULT_PATH, **stage.environment})
        elif name == "WORKDIR":
            stage.folder = value
            (stage.root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "USER":
            stage.user = value
        elif name == "ENTRYPOINT":
            stage.entrypoint = json.loads(value)
        elif name == "CMD":
            stage.command = json.loads(value)
        elif name == "HEALTHCHECK":
            stage.health_check = json.loads(value.partition("CMD")[2])
        elif name == "COPY":
            self._copy(stage, value)
        elif name == "RUN":
            self._run_in(stage, value)
        else:
            raise ImageError("not known here")

    def _copy(self, stage: Stage, value: str) -> None:
        words = value.split()
        from_stage = None
        if words[0].startswith("--from="):
            from_stage = self.stages[words.pop(0).removeprefix("--from=")].root
        source, target = words
        place = stage.root / target.lstrip("/")
        if from_stage is not None:
            shutil.copytree(from_stage / source.lstrip("/"), place, dirs_exist_ok=True)
            return
        for file in context_files(self._context):
            if source == "." or file.is_relative_to(source):
                copied = place / (file if source == "." else file.relative_to(source))
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self._context / file, copied)

    def _run_in(self, stage: Stage, value: str) -> None:
        mounts: list[str] = []
        while found := _MOUNT.match(value):
            settings = dict(part.split("=", 1) for part in found[1].split(","))
            source = self.stages[settings["from"]].root / settings["source"].lstrip("/")
            mounts += ["--ro-bind", str(source), settings["target"]]
            (stage.root / settings["target"].lstrip("/")).mkdir(parents=True, exist_ok=True)
            value = value[found.end() :]
        network = [*("--ro-bind", str(CERTIFICATES), str(CERTIFICATES)), "--ro-bind", "/etc/resolv.conf", RESOLVER]
        (stage.root / RESOLVER.lstrip("/")).touch()
        variables = {name: text for name, text in os.environ.items() if PASSED_ON.fullmatch(name)}
        environment = {"PATH": DEFAULT_PATH, **variables, **stage.arguments, **stage.environment}
        command = bubble(stage.root, environment, stage.folder, [*network, *mounts])
        _run([*command, "/bin/sh", "-c", value])


DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RESOLVER = "/etc/resolv.conf"


def bubble(
    root: Path, environment: Mapping[str, str], folder: str, options: Sequence[str] = (), *, read_only: bool = False
) -> list[str]:
    """Return a command that runs what follows it in a root."""
    variables = [part for name, text in environment.items() for part in ("--setenv", name, text)]
    return [
        *("bwrap", "--ro-bind" if read_only else "--bind", str(root), "/"),
        *(
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--perms",
            "1777",
            "--tmpfs",
            "/dev/shm",
            "--perms",
            "1777",
            "--tmpfs",
            "/tmp",
        ),
        *("--unshare-pid", "--unshare-ipc", "--die-with-parent", "--new-session", "--clearenv"),
        *variables,
        *("--chdir", folder),
        *options,
    ]


def contained(stage: Stage, options: Sequence[str] = ()) -> list[str]:
    """Return a command that runs what follows it as a container of the image would be run.

    The root is read-only, the user is the image's, without any capability, and the network is one of its own.
    """
    user, _, group = stage.user.partition(":")
    return [
        *bubble(
            stage.root,
            {"PATH": DEFAULT_PATH, **stage.environment},
            stage.folder,
            [*options, "--unshare-net"],
            read_only=True,
        ),
        *("setpriv", f"--reuid={user}", f"--regid={group or user}", "--clear-groups", "--bounding-set=-all"),
        *("--inh-caps=-all", "--no-new-privs"),
    ]


def context_files(context: Path) -> list[Path]:
    """Return the files that COPY sees: those that git knows, without what .dockerignore leaves out."""
    from pathspec import GitIgnoreSpec

    ignored = GitIgnoreSpec.from_lines((context / ".dockerignore").read_text(encoding="utf-8").splitlines())
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=context,
        capture_output=True,
        text=True,
        check=True,
    )
    files = (name for name in listed.stdout.split("\0") if name and (context / name).is_file())
    return [Path(name) for name in sorted(files) if not ignored.match_file(name)]


def _stage_name(value: str) -> str:
    if found := re.fullmatch(r"\S+\s+AS\s+(\S+)", value):
        return found[1]
    raise ImageError(f"FROM {value}: FROM IMAGE AS NAME is accepted")


def _substituted(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], ""), text)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip().splitlines()[-15:]
        raise ImageError(f"exit code {done.returncode}\n" + "\n".join(words))


def with_command(stage: Stage, command: Sequence[str]) -> Stage:
    """Return the stage with another CMD."""
    return dataclasses.replace(stage, command=list(command))
