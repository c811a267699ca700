"""What is built, and above all what is not built again."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from weighbridge_sandbox import builder, tools
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.releases import Archive


class HomegrownTool(tools.Tool):
    """A tool whose sources a test can edit."""

    folder: Path

    @property
    def sources(self) -> Path:
        return self.folder


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "home")
    made.bin.mkdir(parents=True)
    return made


@pytest.fixture
def tool(tmp_path: Path) -> HomegrownTool:
    folder = tmp_path / "go"
    folder.mkdir()
    (folder / "go.mod").write_text("module example\n")
    (folder / "go.sum").write_text("example v1 h1:=\n")
    made = HomegrownTool(
        "probe", "probe", ".", {"a.B": "1"}, ("version",), r"^v1\.2\.3$", links=("probe-link",)
    )
    object.__setattr__(made, "folder", folder)
    return made


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


def installed(layout: Layout, tool: tools.Tool) -> None:
    tools.install(layout, tool, {"probe": program(layout.bin, ".probe.new", "v1.2.3")}, 1.0, "built")


def test_an_installed_tool_is_current_with_all_its_names(layout: Layout, tool: HomegrownTool) -> None:
    assert not tools.is_current(layout, tool)
    installed(layout, tool)
    assert tools.is_current(layout, tool)
    assert (layout.bin / "probe-link").resolve() == (layout.bin / "probe").resolve()
    assert sorted(path.name for path in layout.bin.iterdir()) == ["probe", "probe-link"]


@pytest.mark.parametrize("changed", ["go.sum", "go.mod"])
def test_a_changed_pin_makes_it_stale(layout: Layout, tool: HomegrownTool, changed: str) -> None:
    installed(layout, tool)
    (tool.folder / changed).write_text("other\n")
    assert not tools.is_current(layout, tool)


def test_a_changed_flag_makes_it_stale(layout: Layout, tool: HomegrownTool) -> None:
    installed(layout, tool)
    other = replace(tool, variables={"a.B": "2"})
    object.__setattr__(other, "folder", tool.folder)
    assert not tools.is_current(layout, other)


@pytest.mark.parametrize("lost", ["bin/probe", "bin/probe-link", "stamps/probe.json"])
def test_a_lost_part_makes_it_stale(layout: Layout, tool: HomegrownTool, lost: str) -> None:
    installed(layout, tool)
    (layout.tools / lost).unlink()
    assert not tools.is_current(layout, tool)


def test_a_torn_stamp_makes_it_stale(layout: Layout, tool: HomegrownTool) -> None:
    installed(layout, tool)
    tools.stamp(layout, tool).write_text('{"digest": "')
    assert not tools.is_current(layout, tool)


def test_a_program_on_path_serves_if_its_version_fits(
    layout: Layout, tool: HomegrownTool, tmp_path: Path
) -> None:
    fits = program(tmp_path / "usr", "probe", "v1.2.3")
    program(tmp_path / "old", "probe", "v1.2.2")
    assert tools.on_path(layout, tool, f"{tmp_path}/usr") == fits
    assert tools.on_path(layout, tool, f"{tmp_path}/old") is None
    assert tools.on_path(layout, tool, f"{tmp_path}/nowhere") is None


def test_our_own_bin_on_path_does_not_count_as_the_machines(layout: Layout, tool: HomegrownTool) -> None:
    program(layout.bin, "probe", "v1.2.3")
    assert tools.on_path(layout, tool, str(layout.bin)) is None


def test_a_program_on_path_is_linked_to_not_copied(
    layout: Layout, tool: HomegrownTool, tmp_path: Path
) -> None:
    there = program(tmp_path / "usr", "probe", "v1.2.3")
    tools.install(layout, tool, {"probe": there}, 0.0, str(there))
    assert (layout.bin / "probe").readlink() == there
    assert there.exists()


def test_every_tool_has_a_pinned_module() -> None:
    for each in tools.TOOLS:
        assert (each.sources / "go.mod").exists(), each.product
        assert (each.sources / "go.sum").stat().st_size > 0, each.product


@pytest.mark.parametrize(
    "archive", [each.archive for each in tools.TOOLS if each.archive], ids=lambda one: one.programs[0]
)
def test_every_archive_is_fetched_by_tls_and_pinned_by_a_whole_digest(archive: Archive) -> None:
    assert archive.url.startswith("https://")
    assert len(bytes.fromhex(archive.digest)) == hashlib.new(archive.algorithm).digest_size


@pytest.mark.parametrize("tool", [each for each in tools.TOOLS if each.archive], ids=lambda one: one.product)
def test_an_archive_brings_every_name_that_a_build_does(tool: tools.Tool) -> None:
    assert tool.archive
    assert set(tool.archive.programs) == set(tool.names)


def test_no_module_asks_for_a_newer_go_than_the_builder_does() -> None:
    for each in tools.TOOLS:
        line = next(x for x in (each.sources / "go.mod").read_text().splitlines() if x.startswith("go "))
        assert builder.go_version(line.replace("go ", "go")) <= builder.OLDEST_GO, each.product


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 linux/amd64", (1, 27)),
        ("go version devel +abc", ()),
        ("", ()),
    ],
)
def test_go_says_its_version(said: str, version: tuple[int, ...]) -> None:
    assert builder.go_version(said) == version


def test_a_build_does_not_depend_on_the_machines_go_settings() -> None:
    environment = builder.build_environment(
        {"GOFLAGS": "-mod=mod", "CGO_ENABLED": "1", "PATH": "/bin"}, Path("/go/go")
    )
    assert environment["CGO_ENABLED"] == "0"
    assert "-mod=readonly" in environment["GOFLAGS"]
    assert environment["GOTOOLCHAIN"] == "local"
    assert environment["PATH"].split(":") == ["/go", "/bin"]
