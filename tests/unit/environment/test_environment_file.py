"""Loading an environment: what is found, what is refused, what is only doubted."""

import os
import time
from pathlib import Path

import pytest

from support.environment_texts import ENVIRONMENTS, SANDBOX, refusal
from weighbridge.environment.file import MAX_BYTES, examine, excerpt, load
from weighbridge.environment.types import AccessMode, EnvReference, Route
from weighbridge.errors import InputError, InputErrors
from weighbridge.s3.settings import S3KeyPair, S3Source


def test_the_sandbox_loads_by_name_and_by_path() -> None:
    by_name = load("sandbox", ENVIRONMENTS)
    assert by_name == load(str(ENVIRONMENTS / "sandbox.yaml"), Path("nowhere"))
    assert by_name.path == ENVIRONMENTS / "sandbox.yaml"
    assert by_name.folder == ENVIRONMENTS
    assert by_name.warnings == ()
    model = by_name.environment.models[0]
    assert (model.id, model.routes, model.storage.access_mode) == (
        "tiny-llama",
        (Route.FETCH,),
        AccessMode.READ_WRITE_MANY,
    )
    settings = model.source.chosen.settings
    assert isinstance(settings, S3Source)
    assert isinstance(settings.credentials, S3KeyPair)
    assert settings.credentials.access_key == EnvReference(env="SANDBOX_S3_ACCESS_KEY")
    assert model.parameters["max_batch_size"].default == 256


def test_a_missing_environment_lists_the_existing_ones_and_the_nearest(tmp_path: Path) -> None:
    for name in ("dev", "stage", "prod", "stage.lock"):
        (tmp_path / f"{name}.yaml").write_text(SANDBOX)
    with pytest.raises(InputErrors) as caught:
        load("stag", tmp_path)
    assert "did you mean stage? (existing: dev, prod, stage)" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["", "nul\0byte", "a/b.yaml", "x" * 5000, "../..", "."])
def test_names_that_name_nothing_are_input_errors(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputErrors):
        load(name, tmp_path)


def test_devices_pipes_and_folders_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("/dev/zero", str(tmp_path / "pipe.yaml"), "folder"):
        with pytest.raises(InputErrors, match="not a regular file"):
            load(name, tmp_path)


def test_a_name_that_differs_from_the_files_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(SANDBOX)
    (warning,) = load("other", tmp_path).warnings
    assert warning.code == "name-differs"
    assert warning.place is not None
    assert (warning.place.line, warning.place.key) == (3, "name")


def test_an_absent_ca_bundle_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "sandbox.yaml").write_text(SANDBOX + "trust: {ca_bundle: ca.pem}\n")
    assert [warning.code for warning in load("sandbox", tmp_path).warnings] == ["no-such-file"]
    (tmp_path / "ca.pem").write_text("")
    assert load("sandbox", tmp_path).warnings == ()


def test_every_mistake_is_found_in_one_reading_in_the_files_order(tmp_path: Path) -> None:
    text = (
        SANDBOX.replace("name: sandbox", "name: Sand_box")
        .replace('"5.2"', "5.2")
        .replace("sandbox-rwx", "sandbox_rwx")
    )
    errors = refusal(text.replace("routes: [push]", "routes: [pull]"), tmp_path).errors
    places = [error.place for error in errors if error.place is not None]
    assert [place.key for place in places] == [
        "name",
        "platform.version",
        "models[0].storage.storage_class",
        "models[1].storage.storage_class",
        "models[1].routes[0]",
    ]
    assert [place.line for place in places] == sorted(place.line or 0 for place in places)
    assert all(error.remedy for error in errors)


def test_an_excerpt_points_at_the_column(tmp_path: Path) -> None:
    (error,) = refusal(SANDBOX.replace("name: sandbox", "name: Sandbox"), tmp_path).errors
    assert excerpt(error) == "3 | name: Sandbox\n  |       ^"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (SANDBOX.encode("utf-16"), "not-utf-8"),
        (SANDBOX.replace("# The", "# Thé").encode("latin-1"), "not-utf-8"),
        (b"", "empty-file"),
        (b"\xef\xbb\xbf", "empty-file"),
        (b"---\n", "empty-file"),
        (b"# " + b"x" * MAX_BYTES, "too-large"),
        (SANDBOX.encode() + b"\0", "yaml-syntax"),
        (SANDBOX.encode() + b"# \x1b[2J", "yaml-syntax"),
    ],
)
def test_bytes_that_are_no_text_are_explained(content: bytes, code: str, tmp_path: Path) -> None:
    (error,) = refusal(content, tmp_path).errors
    assert error.code == code
    assert error.place is not None
    assert error.place.line is not None


def test_a_byte_order_mark_and_windows_line_ends_are_taken(tmp_path: Path) -> None:
    (tmp_path / "sandbox.yaml").write_bytes(b"\xef\xbb\xbf" + SANDBOX.replace("\n", "\r\n").encode())
    assert load("sandbox", tmp_path).environment == load("sandbox", ENVIRONMENTS).environment


HOSTILE: dict[str, str] = {
    "deep lists": "[" * MAX_BYTES,
    "deep mappings": "{a: " * (MAX_BYTES // 4),
    "deep blocks": "- " * (MAX_BYTES // 2),
    "deep keys": "? " * (MAX_BYTES // 2),
    "alias bomb": "a0: &a0 [x]\n" + "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 40)),
    "deep aliases": "- &a0 [x]\n" + "".join(f"- &a{i} {'[' * 29}*a{i - 1}{']' * 29}\n" for i in range(1, 35)),
    "alias of itself": "a: &a [*a]",
    "giant text": "name: " + "a" * (MAX_BYTES - 10),
    "giant key": "a" * (MAX_BYTES - 10) + ": 1",
    "giant number": "models: " + "9" * (MAX_BYTES - 10),
    "open quote": 'name: "' + "a" * (MAX_BYTES - 10),
    "many keys": "\n".join(f"k{i}: 1" for i in range(20_000)),
    "many unknown keys": "\n".join(f"k{i}: 1" for i in range(9_000)),
    "many models": "models:\n" + "- {id: ab}\n" * 6_000,
    "comments": "#\n" * (MAX_BYTES // 2),
    "empty lines": "\n" * MAX_BYTES,
    "carriage returns": "\r" * MAX_BYTES,
    "colons": ": " * (MAX_BYTES // 2),
    "anchors": "&a " * (MAX_BYTES // 3),
    "stars": "*a " * (MAX_BYTES // 3),
    "URLs": 'name: "' + "://a:" * (MAX_BYTES // 6) + '"',
    "tokens": 'name: "' + "eyJ" * (MAX_BYTES // 4) + '"',
    "dots": 'cluster: {namespace: "' + "a." * (MAX_BYTES // 3) + '"}',
    "folded lines": "name:\n" + " a\n" * (MAX_BYTES // 4),
    "a broken block of IBM's": "- model_id: a\n" + "\n".join(" " * min(i, 300) + "- a:" for i in range(1500)),
    "surrogate": 'name: "\\ud800"',
    "null character": 'name: "a\\0b"',
    "escape sequence": 'name: "\\e[31mred"',
    "python object": "name: !!python/object/apply:os.system [ls]",
    "set": "name: !!set {a}",
    "key that is a list": "[a]: 1",
    "merge": "<<: {name: a}",
    "infinity": "models: [.inf, -.inf, .nan]",
    "directive": "%YAML 9.9\n---\nname: a",
    "documents": "---\nname: a\n" * 1000,
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_within_seconds(text: str, tmp_path: Path) -> None:
    start = time.process_time()
    errors = refusal(text[:MAX_BYTES], tmp_path).errors
    assert time.process_time() - start < 10
    assert all(error.place is not None and error.place.line for error in errors)
    assert all(len(str(error)) < 2000 for error in errors)
    assert all(str(error).replace("\n", "").isprintable() for error in errors)


def test_examine_gives_warnings_beside_errors() -> None:
    text = SANDBOX.replace("weighbridge.local/mover:sandbox", "registry.example.com/mover:1").replace(
        "name: sandbox", "name: 1"
    )
    assert [(finding.code, finding.warning) for finding in examine(text)] == [
        ("wrong-type", False),
        ("unpinned-image", True),
    ]


def test_an_error_without_a_readable_file_has_no_excerpt() -> None:
    assert excerpt(InputError("x")) is None
