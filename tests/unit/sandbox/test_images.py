"""The images are what a container runtime imports."""

import hashlib
import json
import tarfile
from pathlib import Path

from weighbridge_sandbox.images import docker_archive, mover_is_current, mover_recipe, release
from weighbridge_sandbox.layout import Layout


def test_an_archive_names_its_layer_by_the_layers_own_digest(tmp_path: Path) -> None:
    layer = tmp_path / "root.tar"
    (tmp_path / "hello").write_text("hello")
    with tarfile.open(layer, "w") as tar:
        tar.add(tmp_path / "hello", "hello")
    docker_archive(tmp_path / "image.tar", "example.test/a:b", layer, {"Cmd": ["/hello"]})

    with tarfile.open(tmp_path / "image.tar") as image:
        files = {
            each.name: (image.extractfile(each) or layer.open("rb")).read() for each in image.getmembers()
        }
    [entry] = json.loads(files["manifest.json"])
    config = json.loads(files[entry["Config"]])
    assert entry["RepoTags"] == ["example.test/a:b"]
    assert entry["Config"] == hashlib.sha256(files[entry["Config"]]).hexdigest() + ".json"
    [layer_file] = entry["Layers"]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(files[layer_file]).hexdigest()]
    assert config["config"] == {"Cmd": ["/hello"]}


def test_the_image_is_of_this_debian_or_of_a_known_one() -> None:
    assert release('ID=debian\nVERSION_CODENAME=trixie\nNAME="Debian"\n') == "trixie"
    assert release("ID=ubuntu\nVERSION_CODENAME=noble\n") == "bookworm"
    assert release("") == "bookworm"


def test_the_mover_needs_python_and_rsync() -> None:
    assert "--include=python3,rsync" in mover_recipe("bookworm")
    assert mover_recipe("bookworm")[-1] == "bookworm"


def test_an_image_that_was_never_made_is_not_current(tmp_path: Path) -> None:
    assert not mover_is_current(Layout(tmp_path), "bookworm")
