"""Packages are unpacked whole, once, and never outside their place."""

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.execution import package
from haar.execution.package import BadPackage, Packages, link_tree, unpack


def archive(*entries: tuple[str, bytes, int]) -> bytes:
    """(name, content, mode with the file's kind)"""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content, mode in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            opened.writestr(entry, content)
    return written.getvalue()


FILE, LINK = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777


def test_files_keep_what_they_are(tmp_path: Path) -> None:
    files = [("a/b.py", b"b", FILE), ("run", b"#!", stat.S_IFREG | 0o700), ("closed", b"", stat.S_IFREG | 0o600)]
    unpack(archive(*files, ("d/", b"", 0), ("l", b"a/b.py", LINK)), tmp_path)
    assert (tmp_path / "a/b.py").read_bytes() == b"b"
    assert os.access(tmp_path / "run", os.X_OK)
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0o644  # the environment's user reads it
    assert (tmp_path / "d").is_dir()
    assert (tmp_path / "l").readlink() == Path("a/b.py")


@pytest.mark.parametrize(
    "entries",
    [
        [("../out", b"x", FILE)],
        [("a/../../out", b"x", FILE)],
        [("..\\out", b"x", FILE)],
        [("l", b"/etc/passwd", LINK)],
        [("a/l", b"../../out", LINK)],
        [("l", b"d", LINK), ("l/x", b"x", FILE)],
        [("d/x", b"x", FILE), ("d", b"x", FILE)],
    ],
)
def test_nothing_leaves_its_place(tmp_path: Path, entries: list[tuple[str, bytes, int]]) -> None:
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    with pytest.raises(BadPackage):
        unpack(archive(*entries), target)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "deep" / "out").exists()


NAMES = st.text("ab./\\", min_size=1, max_size=8)
ENTRIES = st.tuples(NAMES, st.sampled_from([FILE, LINK]), st.sampled_from([b"a", b"../x", b"b/.."]))


@given(st.lists(ENTRIES, max_size=5, unique_by=lambda entry: entry[0]))
def test_no_names_write_outside(tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, int, bytes]]) -> None:
    outer = tmp_path_factory.mktemp("outer")
    target = outer / "one" / "target"
    target.mkdir(parents=True)
    try:
        unpack(archive(*((name, content, mode) for name, mode, content in entries)), target)
    except BadPackage:
        pass
    assert sorted(path for path in outer.rglob("*") if target not in path.parents) == [outer / "one", target]


def test_an_absolute_name_lands_inside(tmp_path: Path) -> None:
    unpack(archive(("/etc/x", b"x", FILE)), tmp_path)
    assert (tmp_path / "etc/x").read_bytes() == b"x"


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "UNPACKED_BYTES", 3 << 20)
    with pytest.raises(BadPackage, match="Unzipped size must be smaller than 3145728 bytes"):
        unpack(archive(("a", bytes(2 << 20), FILE), ("b", bytes(2 << 20), FILE)), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) <= 3 << 20


@pytest.mark.parametrize("data", [b"", b"not a zip", archive(("a", b"x" * 1000, FILE))[:-30]])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadPackage, match="Could not unzip uploaded file"):
        unpack(data, tmp_path)


async def test_a_failed_package_leaves_no_name_behind(tmp_path: Path) -> None:
    answers = [b"not a zip", archive(("a", b"x", FILE))]

    async def fetch(code_sha256: str) -> bytes:
        return answers.pop(0)

    packages = Packages(tmp_path, fetch)
    with pytest.raises(BadPackage):
        await packages.code("AAAA")
    assert not list(tmp_path.iterdir())
    tree = await packages.code("AAAA")
    assert (tree.path / "a").read_bytes() == b"x"
    assert tree.entries == 1
    assert await packages.code("AAAA") is tree


def test_a_linked_tree_is_the_same_files(tmp_path: Path) -> None:
    unpack(archive(("a/b", b"b", FILE), ("l", b"a/b", LINK)), source := tmp_path / "source") if (
        tmp_path / "source"
    ).mkdir() is None else None
    target = tmp_path / "target"
    (target / "a").mkdir(parents=True)
    (target / "a" / "b").write_bytes(b"older")
    (target / "l").mkdir()
    link_tree(source, target)
    assert (target / "a/b").samefile(source / "a/b")
    assert (target / "l").readlink() == Path("a/b")


async def test_the_longest_unused_code_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch(code_sha256: str) -> bytes:
        return archive((code_sha256, bytes(1000), FILE))

    packages = Packages(tmp_path, fetch)
    trees = [(await packages.code(name)).path for name in ("AAAA", "BBBB", "CCCC")]
    for age, tree in zip((10, 30, 20), trees, strict=True):
        os.utime(tree, (1_700_000_000 - age, 1_700_000_000 - age))
    (tmp_path / "half.1.partial").mkdir()
    monkeypatch.setattr(package, "KEPT_BYTES", 2500)
    packages.trim()
    assert sorted(tmp_path.iterdir()) == sorted([trees[0], trees[2]])
