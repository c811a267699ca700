"""References become values in memory, or a sentence that names the reference and never a value."""

import json
import os
import threading
from pathlib import Path

import pytest

from support.world import environment
from weighbridge.domain.credentials import S3Keys
from weighbridge.environment.base import EnvReference, FileReference, KubernetesSecretReference
from weighbridge.environment.secrets import Secrets
from weighbridge.errors import PreconditionError
from weighbridge.mover.errors import RefusedError
from weighbridge.mover.sources.s3.credentials import MountedKeys
from weighbridge.mover.sources.s3.sigv4 import Keys
from weighbridge.s3.keys import OPTIONAL, REQUIRED, keys_from
from weighbridge.s3.settings import S3Credentials, S3KeyPair, S3Source
from weighbridge.sources import chosen
from weighbridge.sources.s3 import S3

PAIR = S3KeyPair(access_key=EnvReference(env="KEY"), secret_key=FileReference(file="secret"))


def keys_of(secrets: Secrets, credentials: S3Credentials) -> S3Keys:
    source = S3Source(bucket="b-b", endpoint="https://s3.example.com", credentials=credentials)
    return keys_from(secrets.of_source(S3().secrets(source)))


def secret_file(folder: Path, content: bytes, mode: int = 0o600, name: str = "secret") -> Path:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_variables_and_files_are_read_and_one_newline_is_dropped(tmp_path: Path) -> None:
    secret_file(tmp_path, b"s3cr3t\n")
    keys = keys_of(Secrets(tmp_path, environ={"KEY": "AKIAPLANTED"}), PAIR)
    assert (keys.access_key, keys.secret_key, keys.session_token) == ("AKIAPLANTED", "s3cr3t", None)


WITH_TOKEN = S3KeyPair(
    access_key=EnvReference(env="AK"), secret_key=EnvReference(env="SK"), session_token=EnvReference(env="TK")
)
SOUND = {"AK": "AKIAPLANTED", "SK": "PLANTEDSECRET", "TK": "PLANTEDTOKEN"}


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}", "\t{} \n\n"])
def test_white_space_around_a_key_is_left_out_wherever_it_came_from(tmp_path: Path, around: str) -> None:
    written = {name: around.format(value) for name, value in SOUND.items()}
    expected = S3Keys("AKIAPLANTED", "PLANTEDSECRET", "PLANTEDTOKEN")
    assert keys_of(Secrets(tmp_path, environ=written), WITH_TOKEN) == expected
    secret_file(tmp_path, around.format("PLANTEDSECRET").encode())
    assert keys_of(Secrets(tmp_path, environ={"KEY": "AKIAPLANTED"}), PAIR).secret_key == "PLANTEDSECRET"
    data = dict(zip((*REQUIRED, *OPTIONAL), written.values(), strict=True))
    reference = KubernetesSecretReference(secret="s3")
    assert keys_of(Secrets(tmp_path, kube_reader=lambda _: data, environ={}), reference) == expected
    for name, text in data.items():
        (tmp_path / name).write_bytes(text.encode())
    mounted = MountedKeys(str(tmp_path)).read()
    assert mounted == Keys("AKIAPLANTED", "PLANTEDSECRET", "PLANTEDTOKEN")


@pytest.mark.parametrize("name", ["AK", "SK", "TK"])
@pytest.mark.parametrize("within", ["PLANTED\nPLANTED", "PLANTED\x00PLANTED", "PLANTED\udcffPLANTED"])
def test_what_no_key_can_hold_is_refused_by_the_name_of_its_reference_and_not_shown(
    tmp_path: Path, name: str, within: str
) -> None:
    with pytest.raises(PreconditionError) as refused:
        keys_of(Secrets(tmp_path, environ={**SOUND, name: within}), WITH_TOKEN)
    assert f"environment variable {name} holds" in refused.value.what
    assert "PLANTED" not in str(refused.value)
    data = dict(zip((*REQUIRED, *OPTIONAL), {**SOUND, name: within}.values(), strict=True))
    key = {"AK": REQUIRED[0], "SK": REQUIRED[1], "TK": OPTIONAL[0]}[name]
    with pytest.raises(PreconditionError, match=f"{key} of Kubernetes Secret s3 holds") as read:
        keys_of(
            Secrets(tmp_path, kube_reader=lambda _: data, environ={}), KubernetesSecretReference(secret="s3")
        )
    assert "PLANTED" not in str(read.value)
    for file, text in data.items():
        (tmp_path / file).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RefusedError, match=key) as mounted:
        MountedKeys(str(tmp_path)).read()
    assert "PLANTED" not in f"{mounted.value.message} {mounted.value.remedy}"


def test_a_key_that_no_header_carries_is_refused_by_both_sides(tmp_path: Path) -> None:
    for name in ("AK", "TK"):
        with pytest.raises(PreconditionError, match="credentials") as refused:
            keys_of(Secrets(tmp_path, environ={**SOUND, name: "PLANTED é"}), WITH_TOKEN)
        assert "PLANTED" not in str(refused.value)
    assert (
        keys_of(Secrets(tmp_path, environ={**SOUND, "SK": "a secret é"}), WITH_TOKEN).secret_key
        == "a secret é"
    )


def test_a_passphrase_of_several_lines_stays_one(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path, environ={"KEY": "k", "SECRET": "s", "PASS": "one\ntwo\n"})
    assert secrets.resolve(environment("a", "b").state.passphrase) == "one\ntwo"


def test_keys_never_show_themselves(tmp_path: Path) -> None:
    secret_file(tmp_path, b"s3cr3t")
    keys = keys_of(Secrets(tmp_path, environ={"KEY": "AKIAPLANTED"}), PAIR)
    assert "AKIAPLANTED" not in f"{keys!r} {keys}"
    assert "s3cr3t" not in f"{keys!r} {keys}"


def test_absent_and_empty_ones_are_named(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path, environ={"EMPTY": ""})
    secret_file(tmp_path, b"\n", name="empty")
    secret_file(tmp_path, b"\xff\xfe", name="binary")
    secret_file(tmp_path, b"x" * 100_000, name="large")
    for reference, name in (
        (EnvReference(env="ABSENT"), "ABSENT"),
        (EnvReference(env="EMPTY"), "EMPTY"),
        (FileReference(file="absent"), str(tmp_path / "absent")),
        (FileReference(file="empty"), str(tmp_path / "empty")),
        (FileReference(file="binary"), "binary"),
        (FileReference(file="large"), "large"),
        (FileReference(file="."), str(tmp_path)),
    ):
        with pytest.raises(PreconditionError) as refused:
            secrets.resolve(reference)
        assert name in refused.value.what
        assert refused.value.remedy


def test_a_file_that_everybody_can_read_is_warned_about_once(tmp_path: Path) -> None:
    path = secret_file(tmp_path, b"s3cr3t", mode=0o644)
    secrets = Secrets(tmp_path, environ={})
    assert secrets.resolve(FileReference(file="secret")) == "s3cr3t"
    secrets.resolve(FileReference(file="secret"))
    assert len(secrets.warnings) == 1
    assert f"chmod 600 {path}" in secrets.warnings[0]


def test_values_handed_over_in_a_file_come_first(tmp_path: Path) -> None:
    overlay = secret_file(tmp_path, json.dumps({"env:KEY": "from-overlay"}).encode(), name="overlay")
    secrets = Secrets(tmp_path, environ={"KEY": "ambient", "WEIGHBRIDGE_SECRETS_FILE": str(overlay)})
    assert secrets.resolve(EnvReference(env="KEY")) == "from-overlay"


@pytest.mark.parametrize(
    ("content", "mode"),
    [(b"{}", 0o644), (b"not json PLANTED", 0o600), (b'["PLANTED"]', 0o600), (b'{"a": 1}', 0o600)],
)
def test_a_handed_over_file_that_is_open_or_broken_is_refused_without_quoting_it(
    tmp_path: Path, content: bytes, mode: int
) -> None:
    overlay = secret_file(tmp_path, content, mode, name="overlay")
    with pytest.raises(PreconditionError) as refused:
        Secrets(tmp_path, overlay_file=overlay, environ={})
    assert "PLANTED" not in str(refused.value)
    assert str(overlay) in str(refused.value)


def test_keys_in_a_kubernetes_secret_are_read_through_the_cluster_and_missing_ones_named(
    tmp_path: Path,
) -> None:
    found = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"}
    reference = KubernetesSecretReference(secret="s3")
    read = Secrets(tmp_path, kube_reader={"s3": found}.__getitem__, environ={})
    assert keys_of(read, reference).secret_key == "B"
    with pytest.raises(PreconditionError, match="AWS_SECRET_ACCESS_KEY"):
        keys_of(
            Secrets(tmp_path, kube_reader=lambda _name: {"AWS_ACCESS_KEY_ID": "A"}, environ={}), reference
        )
    with pytest.raises(PreconditionError, match="cannot be read from here"):
        keys_of(Secrets(tmp_path, environ={}), reference)


def test_what_a_models_source_refers_to_is_collected_and_nothing_else(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path, environ={"KEY": "k", "SECRET": "s", "PASS": "p"})
    assert secrets.collect_model(environment("a", "b"), "a") == {"env:KEY": "k", "env:SECRET": "s"}
    assert secrets.collect_model(environment("a", "b"), "c") == {}


def test_values_in_place_of_references_are_refused_without_quoting_them() -> None:
    place = {"kind": "s3", "bucket": "b-b", "endpoint": "https://s3.example.com"}
    pair = {"access_key": {"env": "A"}, "secret_key": {"file": "b"}}
    assert chosen({**place, "credentials": pair}).settings.credentials == S3KeyPair(
        access_key=EnvReference(env="A"), secret_key=FileReference(file="b")
    )
    assert chosen({**place, "credentials": {"secret": "name"}}).secrets.existing == "name"
    with pytest.raises(PreconditionError) as refused:
        chosen({**place, "credentials": {"access_key": "PLANTED", "secret_key": "PLANTED"}})
    assert "PLANTED" not in str(refused.value)
    assert refused.value.__context__ is None
    assert "KEY" not in os.environ


def test_a_pipe_is_read_once_and_remembered(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pipe.open("wb") as writer:
        writer.write(b"from-a-pipe\n")
        writer.flush()
        secrets = Secrets(tmp_path, environ={})
        threading.Timer(0.2, writer.close).start()
        values = {secrets.resolve(FileReference(file="pipe")) for _ in range(3)}
    os.close(reader)
    assert values == {"from-a-pipe"}
