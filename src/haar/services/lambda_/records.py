"""What Lambda keeps, and under which keys.

lambda.functions     region       name        Function: the settings of $LATEST and what all versions share
lambda.versions      region/name  number      Version: immutable but for its revision id
lambda.aliases       region/name  alias       Alias
lambda.policies      region/name  qualifier   Policy ("" for the unqualified function)
lambda.eventconfigs  region/name  qualifier   EventConfig ($LATEST for the unqualified function)
lambda.provisioned   region/name  qualifier   ProvisionedConfig
lambda.urls          region/name  qualifier   UrlConfig ("" for the unqualified function)
lambda.urlids        url id                   region/name and qualifier
lambda.codesigning   region       id          CodeSigning
lambda.layers        region       name        Layer: how many versions it has had
lambda.layerversions region/name  number      LayerVersion
lambda.mappings      region       uuid        an event source mapping (mappingrecords.py)
lambda.lanes         uuid         shard, lane how far a mapping has got
lambda.mappingstates uuid                     what came of its last batch
lambda.code          sha-256      chunk       a package in pieces (packages.py)
lambda.coderefs      sha-256      holder      which versions of functions and layers hold a package
lambda.codegarbage   sha-256                  when a package that nobody may hold is looked at
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from haar.services.lambda_.names import LATEST, FunctionName
from haar.store.contract import Reader, Transaction

FUNCTIONS = "lambda.functions"
VERSIONS = "lambda.versions"
ALIASES = "lambda.aliases"
POLICIES = "lambda.policies"
EVENT_CONFIGS = "lambda.eventconfigs"
PROVISIONED = "lambda.provisioned"
URLS = "lambda.urls"
URL_IDS = "lambda.urlids"
CODE_SIGNING = "lambda.codesigning"
LAYERS = "lambda.layers"
LAYER_VERSIONS = "lambda.layerversions"
METADATA = (FUNCTIONS, VERSIONS, ALIASES, POLICIES, EVENT_CONFIGS)
PARTS = (VERSIONS, ALIASES, POLICIES, EVENT_CONFIGS, URLS, PROVISIONED)
"""The spaces that have a partition a function."""


class LayerUse(msgspec.Struct, omit_defaults=True):
    """A layer's version as a function has it: kept for as long as the function is, though the layer be deleted."""

    arn: str
    sha256: str
    size: int
    unpacked: int


class ImageUse(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A container image as a function has it, with what its ImageConfig says instead of the image."""

    uri: str
    digest: str
    """64 hexadecimal digits."""
    resolved: str
    entry_point: list[str] = []
    command: list[str] = []
    working_directory: str = ""


class Settings(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a version runs with."""

    runtime: str
    handler: str
    role: str
    code_sha256: str
    """Base64."""
    code_size: int
    code_unpacked: int = 0
    description: str = ""
    timeout: int = 3
    memory: int = 128
    ephemeral: int = 512
    environment: dict[str, str] | None = None
    architecture: str = "x86_64"
    tracing: str = "PassThrough"
    kms: str = ""
    dead_letter: str = ""
    """The ARN of a queue or topic: destinations.py."""
    source_kms: str = ""
    """A setting that is shown, as `kms` is: packages are kept as the store keeps everything."""
    vpc: dict[str, Any] | None = None
    snap_start: str = "None"
    log_format: str = "Text"
    log_group: str = ""
    """Empty is the function's own, /aws/lambda/NAME."""
    application_level: str = ""
    system_level: str = ""
    layers: list[LayerUse] = []
    image: ImageUse | None = None
    """Instead of a package; `code_sha256` is its digest, and there is neither runtime nor handler."""

    def packages(self) -> set[str]:
        """The hashes of everything that must be there for this to run."""
        if self.image is not None:
            return set()
        return {self.code_sha256, *(layer.sha256 for layer in self.layers)}


class Version(msgspec.Struct, omit_defaults=True, kw_only=True):
    """$LATEST, or a published version."""

    version: str = LATEST
    settings: Settings
    modified: float
    """Epoch seconds."""
    revision: str
    """The RevisionId that clients see; moves with permissions too."""
    generation: str
    """Moves with code and settings: environments belong to it."""
    runtime_update: str = "Auto"
    runtime_arn: str = ""
    """The runtime's version that a `Manual` update mode names."""
    updated: bool = False
    """Whether it has been changed since it was made."""
    preparing: str = ""
    """`create` or `update` while its container image is pulled and unpacked."""
    previous: Settings | None = None
    """What runs until an update's image is there, and stays when it fails."""
    failed: str = ""
    """`create` or `update` when the last one's image could not be had; why:"""
    failed_code: str = ""
    failed_reason: str = ""


class Function(msgspec.Struct, omit_defaults=True, kw_only=True):
    name: str
    id: str
    latest: Version
    next_version: int = 1
    tags: dict[str, str] = {}
    reserved: int | None = None
    loops: str = "Terminate"
    """What becomes of invocations that the function causes of itself."""
    signing: str = ""
    """The ARN of its code signing configuration."""


class CodeSigning(msgspec.Struct, omit_defaults=True, kw_only=True):
    id: str
    publishers: list[str]
    """The ARNs of the versions of signing profiles whose signatures count."""
    policy: str = "Warn"
    """What becomes of what is not signed so: `Warn` or `Enforce`."""
    description: str = ""
    tags: dict[str, str] = {}
    modified: float


class Alias(msgspec.Struct, omit_defaults=True, kw_only=True):
    name: str
    version: str
    description: str = ""
    weights: dict[str, float] = {}
    """The further version and its share of the invocations."""
    revision: str


class Policy(msgspec.Struct, omit_defaults=True, kw_only=True):
    statements: list[dict[str, Any]]
    version: str = "2012-10-17"
    id: str = "default"

    def document(self) -> dict[str, Any]:
        return {"Version": self.version} | ({"Id": self.id} if self.id else {}) | {"Statement": self.statements}

    def text(self) -> str:
        return msgspec.json.encode(self.document()).decode()

    def names_callers(self) -> bool:
        """Whether it can matter to a caller that has policies of its own: not when it only names services."""
        principals = [statement.get("Principal", "*") for statement in self.statements]
        return any(principal == "*" or "AWS" in principal for principal in principals)


class Layer(msgspec.Struct, omit_defaults=True, kw_only=True):
    next_version: int = 1


class LayerVersion(msgspec.Struct, omit_defaults=True, kw_only=True):
    version: int
    created: float
    sha256: str
    size: int
    unpacked: int
    description: str = ""
    license: str = ""
    runtimes: list[str] = []
    architectures: list[str] = []
    statements: list[dict[str, Any]] = []
    revision: str = ""
    """Of its policy."""

    def policy(self) -> str | None:
        return Policy(statements=self.statements).text() if self.statements else None


class UrlConfig(msgspec.Struct, omit_defaults=True, kw_only=True):
    id: str
    auth: str
    mode: str = "BUFFERED"
    cors: dict[str, Any] | None = None
    created: float
    modified: float


class ProvisionedConfig(msgspec.Struct, omit_defaults=True, kw_only=True):
    count: int
    modified: float


class EventConfig(msgspec.Struct, omit_defaults=True, kw_only=True):
    modified: float
    retries: int | None = None
    age: int | None = None
    on_success: str = ""
    on_failure: str = ""


encode = msgspec.json.Encoder().encode
decode_function = msgspec.json.Decoder(Function).decode
decode_version = msgspec.json.Decoder(Version).decode
decode_code_signing = msgspec.json.Decoder(CodeSigning).decode
decode_alias = msgspec.json.Decoder(Alias).decode
decode_policy = msgspec.json.Decoder(Policy).decode
decode_layer = msgspec.json.Decoder(Layer).decode
decode_layer_version = msgspec.json.Decoder(LayerVersion).decode
decode_url_config = msgspec.json.Decoder(UrlConfig).decode
decode_provisioned = msgspec.json.Decoder(ProvisionedConfig).decode
decode_event_config = msgspec.json.Decoder(EventConfig).decode


def partition(name: FunctionName) -> bytes:
    return f"{name.region}/{name.name}".encode()


def version_key(version: str) -> bytes:
    return int(version).to_bytes(8, "big")


async def find_function(reader: Reader, name: FunctionName) -> Function | None:
    found = await reader.get(FUNCTIONS, name.region.encode(), name.name.encode())
    return None if found is None else decode_function(found)


async def find_version(reader: Reader, name: FunctionName, version: str) -> Version | None:
    if len(version) > 18:
        return None
    found = await reader.get(VERSIONS, partition(name), version_key(version))
    return None if found is None else decode_version(found)


async def find_alias(reader: Reader, name: FunctionName, alias: str) -> Alias | None:
    found = await reader.get(ALIASES, partition(name), alias.encode())
    return None if found is None else decode_alias(found)


async def find_policy(reader: Reader, name: FunctionName, qualifier: str) -> Policy | None:
    found = await reader.get(POLICIES, partition(name), qualifier.encode())
    return None if found is None else decode_policy(found)


async def find_event_config(reader: Reader, name: FunctionName, qualifier: str) -> EventConfig | None:
    found = await reader.get(EVENT_CONFIGS, partition(name), qualifier.encode())
    return None if found is None else decode_event_config(found)


async def find_url(reader: Reader, name: FunctionName) -> UrlConfig | None:
    found = await reader.get(URLS, partition(name), name.qualifier.encode())
    return None if found is None else decode_url_config(found)


async def delete_url(tx: Transaction, name: FunctionName) -> bool:
    """Deletes the URL of this name and qualifier; whether there was one."""
    config = await find_url(tx, name)
    if config is None:
        return False
    tx.delete(URLS, partition(name), name.qualifier.encode())
    tx.delete(URL_IDS, config.id.encode())
    return True


def put_function(tx: Transaction, name: FunctionName, function: Function) -> None:
    tx.put(FUNCTIONS, name.region.encode(), name.name.encode(), encode(function))


def put_version(tx: Transaction, name: FunctionName, version: Version) -> None:
    tx.put(VERSIONS, partition(name), version_key(version.version), encode(version))


def put_alias(tx: Transaction, name: FunctionName, alias: Alias) -> None:
    tx.put(ALIASES, partition(name), alias.name.encode(), encode(alias))


def timestamp(seconds: float) -> str:
    """`2024-01-01T00:00:00.000+0000`, as LastModified is written."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"
