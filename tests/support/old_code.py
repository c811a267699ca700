"""Another commit of this repository, installed beside the present one: its command, its provider, its playbooks.

Nothing is fetched: the libraries are those of the environment that runs the tests.
"""

import io
import subprocess
import sysconfig
import tarfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class NoSuchCommitError(Exception):
    """The repository does not hold the commit; the message says what to do."""


def check_out(commit: str, folder: Path) -> Path:
    """The files of ``commit`` in ``folder``. ``NoSuchCommitError`` where the repository that this file lies in lacks it."""
    git = ["git", "-C", str(ROOT)]
    known = subprocess.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, check=False)
    if known.returncode != 0:
        said = known.stderr.decode(errors="replace").strip()
        raise NoSuchCommitError(
            f"{ROOT} holds no commit {commit} ({said or 'git says nothing'}): this test needs the repository with its history;"
            " of a shallow clone, `git fetch --unshallow`"
        )
    archive = subprocess.run([*git, "archive", "--format=tar", commit], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def install(code: Path, folder: Path) -> Path:
    """A virtual environment in ``folder`` with the checkout ``code`` and everything of the present one; its ``bin``.

    The checkout's folders come before the present environment's on the path, so its modules are the ones that are imported.
    Programs of ours and ``ansible-playbook`` are scripts of this environment: a link would start the other one's Python.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    paths = sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})
    packages, programs = Path(paths["purelib"]), Path(paths["scripts"])
    project = tomllib.loads((code / "pyproject.toml").read_text(encoding="utf-8"))
    own = [str(code / name) for name in project["tool"]["hatch"]["build"]["dev-mode-dirs"]]
    others = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    lines = [*own, *(f"import site; site.addsitedir({other!r})" for other in others)]
    (packages / "checkout.pth").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    _describe(packages, project["project"]["name"], project["project"]["version"])
    for name, entry in project["project"]["scripts"].items():
        _script(programs, name, entry)
    _script(programs, "ansible-playbook", "ansible.cli.playbook:main")
    return programs


def _describe(packages: Path, name: str, version: str) -> None:
    """What ``importlib.metadata`` tells of the package: the provider names its version to Pulumi."""
    folder = packages / f"{name}-{version}.dist-info"
    folder.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / "METADATA").write_text(text, encoding="utf-8")


def _script(programs: Path, name: str, entry: str) -> None:
    module, function = entry.split(":")
    text = f"#!{programs / 'python'}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
    (programs / name).write_text(text, encoding="utf-8")
    (programs / name).chmod(0o755)


def imported_from(programs: Path, module: str) -> Path:
    """Where the environment's Python finds a module."""
    command = [str(programs / "python"), "-P", "-c", f"import {module}; print({module}.__file__)"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env={})
    return Path(found.stdout.strip())
