"""Container images are a stranger's: what one may try against the host while it is unpacked and while it runs."""

import hashlib
import json
import os
import stat
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.support.functions import Functions, running
from tests.support.images import ARCHITECTURE, Entry, busybox, directory, layout, link, needs_busybox, needs_tools

from haar.execution import images, imagetree
from haar.execution.contract import FunctionSpec
from haar.execution.images import BadImage, Image, Images

pytestmark = [needs_tools, pytest.mark.sandbox]
INDEX = "application/vnd.oci.image.index.v1+json"
BOOT = {"Entrypoint": ["/boot"], "Cmd": ["first"], "Env": ["ANSWER=true"]}


@pytest.fixture
def kept(tmp_path: Path) -> Images:
    (tmp_path / "images").mkdir()
    return Images(tmp_path / "images", sources=str(tmp_path))


async def unpacked(kept: Images, uri: str) -> Image:
    return await kept.get((await kept.resolve(uri)).digest, uri)


async def test_nothing_is_written_outside(kept: Images, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    (outside / "made-executable").touch(mode=0o600)
    hostile = [
        [
            directory("bin"),
            Entry("../escaped"),
            Entry("../../../../../../../../../../.." + str(outside / "climbed")),
            Entry(str(outside / "absolute")),
        ],
        [link("door", str(outside)), link("up", "../../../../../../../.." + str(outside)), link("etc", str(outside))],
        [Entry("door/through"), Entry("up/through"), Entry("door/precious", b"overwritten"), Entry("door/.wh.precious")],
        [link("proc", str(outside)), link("tmp", str(outside)), link("dev", str(outside)), link(".haar", str(outside))],
        [Entry("hard", type=tarfile.LNKTYPE, linkname=str(outside / "precious")), Entry("hard", b"overwritten", 0o6777)],
    ]
    for layers in ([hostile[0]], [hostile[1], hostile[2]], [hostile[3]], [hostile[4]], hostile[:4]):
        try:
            image = await unpacked(kept, layout(tmp_path / "image", layers, tag=f"t{len(layers)}"))
        except BadImage as refused:
            assert refused.reason == "InvalidImage"
            continue
        for name in ("proc", "tmp", "dev", ".haar"):
            assert (image.root / name).is_dir() and not (image.root / name).is_symlink()
    assert sorted(path.name for path in outside.iterdir()) == ["made-executable", "precious"]
    assert (outside / "precious").read_text() == "precious" and stat.S_IMODE((outside / "made-executable").stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "image", "images"}
    assert all(len(path.name) == 64 for path in (tmp_path / "images").iterdir())


async def test_nothing_of_this_machine_is_read_that_the_setting_does_not_name(tmp_path: Path) -> None:
    layout(tmp_path / "app", [[Entry("x")]])
    uris = [f"oci:{tmp_path}/app:v1", f"{tmp_path}/app:v1", "oci-archive:/etc/passwd", "docker-archive:/etc/passwd", "docker-daemon:app:v1"]
    for sources in ("", "*", f"*, {tmp_path}/ap", "registry.example.com"):
        closed = Images(tmp_path / "images", sources=sources)
        for uri in uris:
            with pytest.raises(BadImage) as raised:
                await closed.resolve(uri)
            assert raised.value.reason == "ImageAccessDenied"
        with pytest.raises(BadImage) as raised:
            await closed.resolve("127.0.0.1:1/x:y")
        assert raised.value.reason == ("ImageAccessDenied" if "registry" in sources else "ImageDeleted")
    named = Images(tmp_path / "images", sources=f"*, {tmp_path}")
    assert (await named.resolve(uris[0])).digest == (await named.resolve(uris[1])).digest


async def test_images_come_from_where_the_setting_says_and_nowhere_else(tmp_path: Path) -> None:
    layout(tmp_path / "fine/app", [[Entry("x")]])
    layout(tmp_path / "fine-not/app", [[Entry("x")]])
    bounded = Images(tmp_path / "images", sources=f"oci:{tmp_path}/fine, registry.example.com/team")
    assert (await bounded.resolve(f"oci:{tmp_path}/fine/app:v1")).digest
    others = ["fine-not/app:v1", "fine/../fine-not/app:v1"]
    for uri in [
        *(f"oci:{tmp_path}/{other}" for other in others),
        f"{tmp_path}/fine/app:v1",
        "127.0.0.1:1/x:y",
        "registry.example.com/teams/x:y",
    ]:
        with pytest.raises(BadImage) as raised:
            await bounded.resolve(uri)
        assert raised.value.reason == "ImageAccessDenied"


async def test_no_devices_owners_or_set_user_id_programs_are_left(kept: Images, tmp_path: Path) -> None:
    entries = [
        directory("d", 0o7777), Entry("d/suid", b"x", 0o6755), Entry("fifo", type=tarfile.FIFOTYPE), Entry("owned", b"x", 0o600),
        Entry("d/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3), Entry("disk", type=tarfile.BLKTYPE, devmajor=8),
        Entry("other", b"x", uid=1234, gid=1234), directory("shut", 0), Entry("shut/in", b"x", 0),
        Entry("capable", b"x", 0o755, pax_headers={"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00" + "\x00" * 12}),
    ]  # fmt: skip
    image = await unpacked(kept, layout(tmp_path / "image", [entries]))
    for path in image.root.rglob("*"):
        told = path.lstat()
        assert stat.S_ISDIR(told.st_mode) or stat.S_ISREG(told.st_mode) or (stat.S_ISLNK(told.st_mode) and path.parent.name == "dev"), path
        if not stat.S_ISLNK(told.st_mode):
            assert not told.st_mode & (stat.S_ISUID | stat.S_ISGID), path
            assert "security.capability" not in os.listxattr(path)
        assert told.st_uid == os.geteuid(), path
    assert (image.root / "shut/in").read_bytes() == b"x"
    assert stat.S_IMODE((tmp_path / "images").stat().st_mode) == 0o700


async def test_bombs_are_given_up(kept: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = layout(tmp_path / "image", [[Entry(f"zeros{number}", bytes(8 << 20)) for number in range(4)]])
    monkeypatch.setattr(imagetree, "MAX_BYTES", 20 << 20)
    with pytest.raises(BadImage) as raised:
        await unpacked(kept, uri)
    assert raised.value.reason == "InvalidImage" and "larger than" in str(raised.value)
    monkeypatch.setattr(images, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(images, "WATCH_SECONDS", 0.001)
    with pytest.raises(BadImage) as raised:
        await unpacked(kept, uri)
    assert raised.value.reason == "InvalidImage"
    monkeypatch.setattr(images, "MAX_BYTES", imagetree.MAX_BYTES)
    monkeypatch.setattr(imagetree, "MAX_ENTRIES", 500)
    with pytest.raises(BadImage):
        await unpacked(kept, layout(tmp_path / "image", [[Entry(f"e{number}") for number in range(1000)]], tag="many"))
    with pytest.raises(BadImage) as raised:
        await kept.resolve(layout(tmp_path / "image", [[Entry(f"l{number}")] for number in range(images.MAX_LAYERS + 1)], tag="layers"))
    assert "layers" in str(raised.value)
    assert list((tmp_path / "images").iterdir()) == []


async def test_documents_that_are_not_what_they_seem(kept: Images, tmp_path: Path) -> None:
    uri = layout(tmp_path / "image", [[Entry("x")]], BOOT)
    blobs = tmp_path / "image/blobs/sha256"
    config = next(path for path in blobs.iterdir() if b'"rootfs"' in path.read_bytes())
    digest = (await kept.resolve(uri)).digest
    config.write_bytes(config.read_bytes().replace(b"first", b"other"))
    with pytest.raises(BadImage):
        await kept.get(digest, uri)
    config.unlink()
    config.symlink_to("/etc/shadow")
    with pytest.raises(BadImage):
        await kept.get(digest, uri)
    (tmp_path / "image/index.json").write_text("[" * 100_000)
    with pytest.raises(BadImage):
        await kept.resolve(uri)
    first, second = (layout(tmp_path / name / "image", [[Entry("x")]], BOOT) for name in ("one", "other"))
    digest = (await kept.resolve(first)).digest
    assert (await kept.resolve(second)).digest == digest
    assert (await kept.get(digest, first)).root != (await kept.get(digest, second)).root  # neither can put its own in the other's place
    moved = layout(tmp_path / "moved", [[Entry("x")]], BOOT)
    digest = (await kept.resolve(moved)).digest
    layout(tmp_path / "moved", [[Entry("y")]], BOOT)
    with pytest.raises(BadImage) as raised:
        await kept.get(digest, moved)
    assert raised.value.reason == "ImageDeleted"


@pytest_asyncio.fixture
async def functions(tmp_path: Path) -> Any:
    async with running(tmp_path / "data") as made:
        yield made


async def specified(functions: Functions, uri: str, **more: Any) -> FunctionSpec:
    digest = (await functions.manager.images.resolve(uri)).digest
    return replace(functions.make("", "", "", image=uri, **more), code_sha256=digest)


@needs_busybox
async def test_an_image_sees_only_itself(functions: Functions, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    script = f"""
        ls /; ls {secret} {Path.home()} /work/main 2>/dev/null; echo S $(id -u) $(grep -h Cap /proc/self/status | tr -d "\\t\\n");
        for place in / /bin /boot /etc /dev /.haar /.haar/usr/bin /proc/sys/kernel;
        do touch $place/mine 2>/dev/null && echo wrote $place; done;
        mount -t tmpfs none /work 2>/dev/null && echo mounted; cat /proc/1/environ /proc/1/cmdline 2>/dev/null | grep -c {functions.data};
        for host in 127.0.0.1:22 127.0.0.1:4567; do wget -q -T 1 -O - http://$host/ 2>/dev/null && echo reached $host; done;
        touch /tmp/mine && echo tmp
    """
    more = [directory("etc"), Entry("etc/hosts", b"6.6.6.6 localhost"), Entry("etc/passwd", b"root::0:0:::/bin/sh\n")]
    uri = layout(tmp_path / "image", [[*busybox(), *more]], BOOT | {"User": "0", "Env": ["ANSWER=" + script.replace("\n", " ")]})
    said = (await functions.answer(await specified(functions, uri), 1))["said"].split()
    at = said.index("S")
    assert said[:at] == ["bin", "boot", "dev", "etc", "proc", "tmp", "work"]
    assert said[at + 1] != "0" and said[at + 2] == "".join(f"Cap{name}:{0:016x}" for name in ("Inh", "Prm", "Eff", "Bnd", "Amb"))
    assert said[at + 3 :] == ["0", "tmp"]


@needs_busybox
async def test_a_root_made_of_links_leads_nowhere(functions: Functions, tmp_path: Path) -> None:
    """bubblewrap mounts while the host's files are still within its reach: no mount point may be a link."""
    outside = tmp_path / "outside"
    outside.mkdir()
    places = ("proc", "tmp", "dev", "etc", "work", ".haar")
    links = [link(name, f"/oldroot{outside}") for name in places]
    files = [entry for entry in busybox() if entry.info.name not in places]
    answers = {"Env": ["ANSWER=ls -a /tmp /proc/self/ns /etc"], "Entrypoint": ["/boot"]}
    uri = layout(tmp_path / "image", [[*files, *links]], answers)
    assert "pid" in (await functions.answer(await specified(functions, uri), 1))["said"]
    assert list(outside.iterdir()) == []


@needs_busybox
async def test_an_image_finds_haar_by_awss_names_and_keeps_its_own_trust(functions: Functions, tmp_path: Path) -> None:
    bundle = "etc/ssl/certs/ca-certificates.crt"
    script = "nslookup sts.us-east-1.amazonaws.com | grep -c 'Address: 127.0.0.1'; grep -c . $AWS_CA_BUNDLE; head -n 1 /" + bundle
    answers = {"Env": [f"ANSWER={script}; echo $AWS_CA_BUNDLE ${{SSL_CERT_FILE-unset}}"], "Entrypoint": ["/boot"]}
    certificates = [directory("etc"), directory("etc/ssl"), directory("etc/ssl/certs"), Entry(bundle, b"the image's own\n")]
    own = await specified(functions, layout(tmp_path / "own", [[*busybox(), *certificates]], answers))
    found, lines, *told = (await functions.answer(own, 1))["said"].split()
    assert (found, told) == ("1", ["the", "image's", "own", f"/{bundle}", "unset"]) and int(lines) > 2
    bare = await specified(functions, layout(tmp_path / "bare", [busybox()], answers))
    said = (await functions.answer(bare, 1))["said"].split()
    assert said[0] == "1" and int(said[1]) > 2 and said[-2:] == ["/.haar/trust/bundle.pem"] * 2


async def test_the_image_for_this_machine_is_taken_from_an_index(kept: Images, tmp_path: Path) -> None:
    for number, architecture in enumerate(("s390x", ARCHITECTURE)):
        layout(tmp_path, [[Entry(f"file{number}")]], BOOT | {"Cmd": [architecture]}, tag=architecture, architecture=architecture)
    index = json.loads((tmp_path / "index.json").read_text())
    manifests = [
        {name: one[name] for name in ("mediaType", "digest", "size")} | {"platform": {"architecture": architecture, "os": "linux"}}
        for one, architecture in zip(index["manifests"], ("s390x", ARCHITECTURE), strict=True)
    ]
    written = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
    digest = hashlib.sha256(written).hexdigest()
    (tmp_path / "blobs/sha256" / digest).write_bytes(written)
    named = {
        "mediaType": INDEX,
        "digest": f"sha256:{digest}",
        "size": len(written),
        "annotations": {"org.opencontainers.image.ref.name": "all"},
    }
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    found = await kept.resolve(f"oci:{tmp_path}:all")
    assert found.digest == digest
    image = await kept.get(digest, f"oci:{tmp_path}:all")
    assert image.command == (ARCHITECTURE,) and (image.root / "file1").is_file() and not (image.root / "file0").exists()


EXTENSION = b"""#!/bin/sh
R=http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension
wget -q -S -O /dev/null --header "Lambda-Extension-Name: watcher" --post-data '{"events": ["INVOKE"]}' $R/register 2>/tmp/registered
id=$(grep -i Lambda-Extension-Identifier: /tmp/registered | sed 's/.*: //' | tr -d '\\r')
while wget -q -O - --header "Lambda-Extension-Identifier: $id" $R/event/next >>/tmp/seen; do true; done
"""


@needs_busybox
async def test_an_images_own_extensions_run_beside_it(functions: Functions, tmp_path: Path) -> None:
    opt = [directory("opt"), directory("opt/extensions"), Entry("opt/extensions/watcher", EXTENSION, 0o755)]
    answers = {"Env": ["ANSWER=while ! grep -q INVOKE /tmp/seen; do sleep 0.1; done; echo heard"], "Entrypoint": ["/boot"]}
    spec = await specified(functions, layout(tmp_path / "image", [[*busybox(), *opt]], answers))
    assert (await functions.answer(spec, 1))["said"].split() == ["heard"]


@needs_busybox
async def test_links_to_the_hosts_extensions_are_not_followed(functions: Functions, tmp_path: Path) -> None:
    (tmp_path / "outside/extensions").mkdir(parents=True)
    (tmp_path / "outside/extensions/secret-name").touch(mode=0o755)
    spec = await specified(functions, layout(tmp_path / "image", [[*busybox(), link("opt", str(tmp_path / "outside"))]], BOOT))
    assert (await functions.answer(spec, 1))["event"] == 1
    assert "secret-name" not in "".join(await functions.logged(spec, "^REPORT "))
