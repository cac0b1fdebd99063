"""Container images as functions: found with skopeo, unpacked with umoci in a sandbox of its own, kept by digest.

An ImageUri is a registry's (`HOST/REPOSITORY:TAG`, `…@sha256:…`), or names what is on this machine: an OCI layout (`oci:/DIR:TAG`, or just
`/DIR:TAG`), an archive (`oci-archive:/FILE`, `docker-archive:/FILE`) or an image of the local Docker engine (`docker-daemon:NAME:TAG`).

The image is a stranger's: nothing of it runs, sets an owner, makes a device or is written outside of its directory while it is unpacked.
"""

import asyncio
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from haar.execution.contract import FunctionSpec
from haar.execution.imagetree import MAX_BYTES, MAX_ENTRIES, TooLarge, disk, entries_left, tidy

TOOLS = ("skopeo", "umoci")
LOCAL = ("oci:", "oci-archive:", "docker-archive:", "docker-daemon:")
LOOPBACK = ("localhost", "127.0.0.1")
"""Registries on this machine are asked without TLS."""
FILES = "files"
"""What of an image's directory umoci writes in."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MAX_LAYERS = 127
MAX_MANIFEST_BYTES = 4 << 20
INSPECT_SECONDS = 60.0
PULL_SECONDS = 900.0
WATCH_SECONDS = 0.2
PULLS = 2
"""How many images are pulled at once."""
SAID = 2000
REMEMBERED = 2000
"""Images whose configuration is in memory."""
KEPT_ENVIRONMENT = (
    "PATH",
    "HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?")
ECR = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/")

Reason = Literal["ImageAccessDenied", "ImageDeleted", "InvalidImage", "InternalError", "NotSupported"]


class BadImage(Exception):
    """An image that cannot be had or used; `reason` as StateReasonCode has it, the message without the image's name."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Image:
    """An unpacked image."""

    root: Path
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = ""

    def overridden(self, spec: FunctionSpec) -> "Image":
        """The image with the function's ImageConfig."""
        return replace(
            self,
            entry_point=spec.entry_point or self.entry_point,
            command=spec.command or self.command,
            working_directory=spec.working_directory or self.working_directory or "/",
        )


@dataclass(frozen=True, slots=True)
class Resolved:
    """What an ImageUri stands for now."""

    digest: str
    """Of its manifest: 64 hexadecimal digits."""
    uri: str
    """The same image for good, as ResolvedImageUri has it."""


def source(uri: str) -> str:
    """What skopeo calls the image of an ImageUri. Raises ValueError when it is none."""
    if uri.startswith("/"):
        uri = f"{'oci-archive' if _without_tag(uri).is_file() else 'oci'}:{uri}"
    for transport in LOCAL:
        if uri.startswith(transport):
            rest = uri.removeprefix(transport)
            if not rest or (transport != "docker-daemon:" and not rest.startswith("/")):
                raise ValueError(f"{transport} needs an absolute path")
            return uri
    name = uri.removeprefix("docker://")
    if not REPOSITORY.fullmatch(name) or (ECR.match(name) and ":" not in name.partition("/")[2]):
        raise ValueError("not a repository and a tag")
    return "docker://" + name


def _without_tag(path: str) -> Path:
    head, colon, tail = path.rpartition(":")
    return Path(head if colon and "/" not in tail else path)


def pinned(uri: str, digest: str) -> str:
    """The name by which just this image is found again."""
    plain = _unpinned(uri)
    if is_local(uri):
        return f"{plain}@sha256:{digest}"
    name = plain.removeprefix("docker://")
    head, _, last = name.rpartition("/")
    return f"{head}/{last.partition(':')[0]}@sha256:{digest}"


def key(digest: str, uri: str) -> str:
    """Under which an image is kept. What a registry gives is checked by its digest; what is on this machine could be changed between
    looking and copying, and so is kept by its name as well: nobody gets another's under a digest that both know."""
    return hashlib.sha256(f"{_unpinned(uri)} {digest}".encode()).hexdigest() if is_local(uri) else digest


def _begins(uri: str, beginning: str) -> bool:
    """Whether `uri` is below `beginning`: of that host, repository or directory, not of one whose name is longer."""
    if ".." in uri.split("/"):
        return False
    return uri == beginning or uri.startswith(
        beginning if beginning.endswith(("/", ":")) else (f"{beginning}/", f"{beginning}:", f"{beginning}@")
    )


def _unpinned(uri: str) -> str:
    return re.sub(r"@sha256:[0-9a-f]{64}$", "", uri)


def is_local(uri: str) -> bool:
    return uri.startswith(("/", *LOCAL))


def missing_tools() -> list[str]:
    return [tool for tool in TOOLS if shutil.which(tool) is None]


class Images:
    """Unpacked images below `directory`. `auth` is a file of registries' credentials (containers-auth.json), or empty.

    `sources` are the beginnings that an ImageUri may have, comma separated: `*` is any registry, and so is nothing at all; images of this
    machine are read only where it names them (`/DIR`, in whatever form).
    """

    def __init__(self, directory: Path, *, auth: str = "", sources: str = "") -> None:
        self._directory = directory
        self._sources = [one.strip() for one in sources.split(",") if one.strip()]
        self._auth = auth
        self._known: dict[str, Image] = {}
        self._pulling: dict[str, asyncio.Task[Image]] = {}
        self._turns = asyncio.Semaphore(PULLS)

    async def resolve(self, uri: str) -> Resolved:
        """Asks for the image's manifest, and for nothing more. Raises BadImage."""
        self._check_tools()
        try:
            name = source(uri)
        except ValueError as error:
            raise BadImage("InvalidImage", f"is not valid ({error})") from None
        if not self._permitted(uri):
            raise BadImage("ImageAccessDenied", "is of no source that the setting image_sources names")
        raw = await self._skopeo("inspect", "--raw", *self._access(name, ""), name)
        manifest = _parsed(raw)
        if manifest.get("schemaVersion") != 2 or not ("layers" in manifest or "manifests" in manifest):
            raise BadImage("NotSupported", "has a manifest that is not supported")
        _check_manifest(manifest)
        digest = hashlib.sha256(raw).hexdigest()
        return Resolved(digest, pinned(uri, digest))

    async def get(self, digest: str, uri: str) -> Image:
        """The unpacked image of that digest; pulled from where `uri` (an ImageUri) says when it is not here yet. Raises BadImage."""
        name = key(digest, uri)
        if (image := self._known.get(name)) is not None:
            return image
        if (task := self._pulling.get(name)) is None:
            task = self._pulling[name] = asyncio.ensure_future(self._find(digest, uri))
            task.add_done_callback(lambda _: self._pulling.pop(name, None))
        image = self._known[name] = await asyncio.shield(task)
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return image

    def _permitted(self, uri: str) -> bool:
        if not is_local(uri):
            return not self._sources or any(beginning == "*" or _begins(uri, beginning) for beginning in self._sources)
        path = uri if uri.startswith("/") else uri.partition(":")[2]
        return any(_begins(path if beginning.startswith("/") else uri, beginning) for beginning in self._sources)

    def trim(self) -> None:
        """Removes what is half made. Only while nothing is pulled."""
        for path in self._directory.glob("*.partial"):
            shutil.rmtree(path, ignore_errors=True)

    def present(self) -> set[str]:
        """The keys of what is kept."""
        return {path.name for path in self._directory.glob("*") if path.suffix != ".partial"}

    def remove(self, keys: Iterable[str]) -> None:
        """Removes images that no function has. Blocking."""
        for name in keys:
            self._known.pop(name, None)
            shutil.rmtree(self._directory / name, ignore_errors=True)

    async def _find(self, digest: str, uri: str) -> Image:
        target = self._directory / key(digest, uri)
        if not target.is_dir():
            self._check_tools()
            async with self._turns:
                await self._pull(digest, uri, target)
        return await asyncio.to_thread(_read, target)

    async def _pull(self, digest: str, uri: str, target: Path) -> None:
        work = target.with_name(f"{target.name}.{os.getpid()}.pull.partial")
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        for name in ("tmp", "layout", f"tree/{FILES}"):
            (work / name).mkdir(parents=True, mode=0o700)
        self._directory.chmod(0o700)
        try:
            name = source(_unpinned(uri) if is_local(uri) else pinned(uri, digest))
            if is_local(uri) and (await self.resolve(_unpinned(uri))).digest != digest:
                raise BadImage("ImageDeleted", "is not there any more: another image has its name now")
            copy = ["--tmpdir", str(work / "tmp"), "copy", "--quiet", *self._access(name, "src-"), name, f"oci:{work}/layout:image"]
            await self._skopeo(*copy, watched=work)
            config = await asyncio.to_thread(_config, work / "layout")
            await self._unpack(work)
            await asyncio.to_thread(tidy, work / "tree" / FILES / "rootfs")
            (work / "tree" / "config.json").write_text(json.dumps(config))
            try:
                (work / "tree").rename(target)
            except OSError:
                if not target.is_dir():  # else another process was first
                    raise
        except TooLarge as error:
            raise BadImage("InvalidImage", str(error)) from None
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)

    async def _unpack(self, work: Path) -> None:
        """umoci sees the layers and an empty directory, and nothing else of this machine but its programs."""
        command = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
        command += [f"--unshare-{kind}" for kind in ("pid", "net", "ipc", "uts", *(() if os.geteuid() == 0 else ("user",)))]
        command += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - of the sandbox
        for place in ("bin", "lib", "lib64"):
            path = Path("/") / place
            command += ["--symlink", str(path.readlink()), f"/{place}"] if path.is_symlink() else ["--ro-bind-try", str(path), str(path)]
        command += ["--ro-bind", str(work / "layout"), "/layout", "--bind", str(work / "tree" / FILES), "/tree"]
        command += ["--chdir", "/tree", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp"]  # noqa: S108 - of the sandbox
        command += ["--", shutil.which("umoci") or "umoci", "raw", "unpack", "--rootless", "--image", "/layout:image", "rootfs"]
        await self._run(command, PULL_SECONDS, watched=work, reason="InvalidImage")

    def _access(self, name: str, prefix: str) -> list[str]:
        """skopeo's options for where the image is: its architecture, credentials, and whether TLS is asked of it."""
        if not name.startswith("docker://"):
            return []
        chosen = [f"--{prefix}authfile={self._auth}" if self._auth else f"--{prefix}no-creds"]
        host = name.removeprefix("docker://").partition("/")[0].partition(":")[0]
        return [*chosen, f"--{prefix}tls-verify=false"] if host in LOOPBACK else chosen

    async def _skopeo(self, *arguments: str, watched: Path | None = None) -> bytes:
        command = [shutil.which("skopeo") or "skopeo", "--override-os", "linux"]
        command += ["--override-arch", ARCHITECTURES.get(platform.machine(), platform.machine())]
        if not any(Path(path).expanduser().is_file() for path in ("/etc/containers/policy.json", "~/.config/containers/policy.json")):
            command.append("--insecure-policy")  # nobody has said which signatures are asked for
        return await self._run([*command, *arguments], PULL_SECONDS if watched else INSPECT_SECONDS, watched=watched)

    async def _run(self, command: Sequence[str], seconds: float, *, watched: Path | None = None, reason: Reason | None = None) -> bytes:
        """Runs a tool to its end; what it printed. Raises BadImage for what it says, and when it takes too long or too much room."""
        environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment
        )
        assert process.stdout is not None
        assert process.stderr is not None
        reading = asyncio.gather(_read_some(process.stdout, MAX_MANIFEST_BYTES), _read_some(process.stderr, SAID), process.wait())
        waited: set[asyncio.Future[Any]] = {reading}
        if watched is not None:
            waited.add(asyncio.ensure_future(_watch(watched)))
        try:
            async with asyncio.timeout(seconds):
                done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                future.result()
            if reading not in done:
                raise TooLarge
            out, err, status = reading.result()
        except TimeoutError:
            raise BadImage("InternalError", f"took longer than {seconds:.0f} s to get") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            for future in waited:
                future.cancel()
        if status:
            raise _refusal(err.decode("utf-8", "replace"), reason)
        return out

    def _check_tools(self) -> None:
        if missing := missing_tools():
            raise BadImage("NotSupported", f"needs {' and '.join(missing)} on haar's machine: apt-get install {' '.join(missing)}")


async def _watch(directory: Path) -> None:
    """Raises TooLarge when the file system has lost more room than an image may take."""
    free, entries = disk(directory), entries_left(directory)
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if free - disk(directory) > 2 * MAX_BYTES:  # its layers and what is in them
            raise TooLarge
        if entries and entries - entries_left(directory) > MAX_ENTRIES:
            raise TooLarge


async def _read_some(stream: asyncio.StreamReader, most: int) -> bytes:
    kept = bytearray()
    while data := await stream.read(1 << 16):
        kept += data[: most - len(kept)]
    return bytes(kept)


def _refusal(said: str, reason: Reason | None) -> BadImage:
    """What a tool said, as a reason."""
    text = said.lower()
    brief = (re.findall(r'msg="((?:[^"\\]|\\.)*)"', said) or [said.strip()])[-1].replace('\\"', '"')[:SAID]
    if reason is not None:
        return BadImage(reason, f"cannot be unpacked: {brief}")
    if any(sign in text for sign in ("unauthorized", "denied", "authentication required", "forbidden")):
        return BadImage("ImageAccessDenied", f"cannot be read: {brief}")
    if any(sign in text for sign in ("unsupported", "no image found in manifest list", "no image found in image index")):
        return BadImage("NotSupported", f"is not supported: {brief}")
    if ("digest" in text and "mismatch" in text) or "corrupt" in text:
        return BadImage("InvalidImage", f"is not valid: {brief}")
    return BadImage("ImageDeleted", f"does not exist: {brief}")


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise BadImage("InvalidImage", "holds a document that is not JSON")
    return parsed


def _check_manifest(manifest: Mapping[str, Any]) -> None:
    layers = manifest.get("layers", [])
    try:
        size = sum(int(layer["size"]) for layer in layers)
    except (TypeError, KeyError, ValueError):
        raise BadImage("InvalidImage", "has layers without a size") from None
    if len(layers) > MAX_LAYERS:
        raise BadImage("InvalidImage", f"has more than {MAX_LAYERS} layers")
    if size > MAX_BYTES:
        raise BadImage("InvalidImage", str(TooLarge()))


def _config(layout: Path) -> dict[str, Any]:
    """The image's configuration: what of it matters here. skopeo has checked the digests. Raises BadImage."""

    def blob(descriptor: Mapping[str, Any]) -> dict[str, Any]:
        path = layout / "blobs" / "sha256" / str(descriptor["digest"]).removeprefix("sha256:")
        if path.parent.parent.parent != layout or path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BadImage("InvalidImage", "has a document that is too large")
        return _parsed(path.read_bytes())

    try:
        manifest = blob(_parsed((layout / "index.json").read_bytes())["manifests"][0])
        _check_manifest(manifest)
        whole = blob(manifest["config"])
        config = whole.get("config") or {}
        environment = dict(entry.split("=", 1) for entry in config.get("Env") or () if "=" in entry and "\0" not in entry)
        kept = {
            "entry_point": [str(part) for part in config.get("Entrypoint") or ()],
            "command": [str(part) for part in config.get("Cmd") or ()],
            "environment": environment,
            "working_directory": str(config.get("WorkingDir") or ""),
        }
    except (KeyError, IndexError, TypeError, AttributeError, OSError) as error:
        raise BadImage("InvalidImage", f"has a configuration that is not valid: {error}") from None
    wanted = ARCHITECTURES.get(platform.machine(), platform.machine())
    if (found := whole.get("architecture", wanted)) != wanted:
        raise BadImage("InvalidImage", f"is for {found}; functions run on {wanted} here")
    return kept


def _read(target: Path) -> Image:
    kept = json.loads((target / "config.json").read_text())
    return Image(
        target / FILES / "rootfs", tuple(kept["entry_point"]), tuple(kept["command"]), kept["environment"], kept["working_directory"]
    )  # fmt: skip
