"""Virtual MFA devices: time-based one-time passwords (RFC 6238, SHA-1, 30 seconds, six digits)."""

import base64
import hmac
from collections.abc import Sequence
from typing import ClassVar

from haar.services.iam import errors, shapes
from haar.services.iam.demands import asked, listing, on, own_name
from haar.services.iam.entities import change, encode, find, need
from haar.services.iam.paging import page, page_of
from haar.services.iam.records import Entity, User, partition
from haar.services.iam.service import service
from haar.services.iam.tags import checked, merged, without
from haar.services.iam.users import caller_name
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Reader, Store, Transaction
from haar.wire.errors import ServiceError

SEED_BYTES = 40
STEP_SECONDS = 30
DRIFT_STEPS = 1
"""Steps that a device's clock may be early or late."""
DIGITS = 6
MAX_DEVICES = 8
"""Of one user."""


class Device(Entity, kw_only=True, omit_defaults=True):
    space: ClassVar[str] = "iam.mfa"
    noun: ClassVar[str] = "mfa"
    title: ClassVar[str] = "VirtualMFADevice"
    prefix: ClassVar[str] = "AVMF"

    seed: bytes
    user: str = ""
    """The name of the user whom it belongs to; empty until it is enabled."""
    enabled: float = 0.0
    step: int = -1
    """The latest time step whose code was taken: no code counts twice."""


def code_at(seed: bytes, step: int) -> str:
    digest = hmac.digest(seed, step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def accepted_step(device: Device, code: str, now: float) -> int | None:
    """The time step that the code is of, when it is near enough and was not used before."""
    current = int(now) // STEP_SECONDS
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        if step > device.step and hmac.compare_digest(code_at(device.seed, step), code):
            return step
    return None


async def find_device(reader: Reader, account: str, serial: str) -> Device | None:
    if not serial.startswith(f"arn:aws:iam::{account}:mfa/"):
        return None
    device = await find(reader, Device, serial.rpartition("/")[2])
    return device if device is not None and device.arn(account) == serial else None


async def need_device(reader: Reader, account: str, serial: str) -> Device:
    device = await find_device(reader, account, serial)
    if device is None:
        raise errors.no_such_entity(f"VirtualMFADevice with serial number {serial} doesn't exist.")
    return device


async def verify(store: Store, account: str, user: str, serial: str, code: str, now: float) -> bool:
    """Whether the code is of the user's device; a code is taken once."""

    async def write(tx: Transaction) -> bool:
        device = await find_device(tx, account, serial)
        if device is None or device.user != user:
            return False
        step = accepted_step(device, code, now)
        if step is None:
            return False
        device.step = step
        _put(tx, device)
        return True

    return await store.transact(write)


def _put(tx: Transaction, device: Device) -> None:
    tx.put(Device.space, partition(device.name), b"", encode(device))


async def _on_device(ctx: Context, input: Input) -> Sequence[Demand]:
    device = await find_device(ctx.store, ctx.account, input["SerialNumber"])
    return [Demand(f"iam:{ctx.operation}", input["SerialNumber"], asked(input), tags=device.tags if device else {})]


def _making(ctx: Context, input: Input) -> Sequence[Demand]:
    arn = f"arn:aws:iam::{ctx.account}:mfa{input.get('Path', '/')}{input['VirtualMFADeviceName']}"
    demands = [Demand("iam:CreateVirtualMFADevice", arn, asked(input))]
    if input.get("Tags"):
        demands.append(Demand("iam:TagMFADevice", arn, asked(input)))
    return demands


@service.operation("CreateVirtualMFADevice", _making)
async def create_virtual_mfa_device(ctx: Context, input: Input) -> Output:
    """The seed is shown this once."""
    device = Device(
        name=input["VirtualMFADeviceName"],
        path=input.get("Path", "/"),
        id="",
        created=ctx.now(),
        tags=checked(input.get("Tags", ())),
        seed=ctx.host.ids.bytes(SEED_BYTES),
    )

    async def write(tx: Transaction) -> None:
        if await find(tx, Device, device.name) is not None:
            raise errors.already_exists("MFADevice entity at the same path and name already exists.")
        _put(tx, device)

    await ctx.store.transact(write)
    return {"VirtualMFADevice": {"SerialNumber": device.arn(ctx.account), "Base32StringSeed": base64.b32encode(device.seed)}}


@service.operation("DeleteVirtualMFADevice", _on_device)
async def delete_virtual_mfa_device(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        device = await need_device(tx, ctx.account, input["SerialNumber"])
        if device.user:
            raise errors.delete_conflict("MFA VirtualDevice in use. Must deactivate first.")
        tx.delete(Device.space, partition(device.name))

    await ctx.store.transact(write)
    return {}


def _wrong_code() -> Exception:
    return ServiceError("InvalidAuthenticationCode", "Authentication code for device is not valid.", 403)


def _two_codes(device: Device, input: Input, now: float) -> int:
    """The later step of two codes in a row; raises InvalidAuthenticationCode."""
    current = int(now) // STEP_SECONDS
    for step in range(current - DRIFT_STEPS - 1, current + DRIFT_STEPS + 1):
        first, second = code_at(device.seed, step), code_at(device.seed, step + 1)
        if step > device.step and input["AuthenticationCode1"] == first and input["AuthenticationCode2"] == second:
            return step + 1
    raise _wrong_code()


@service.operation("EnableMFADevice", on(User))
async def enable_mfa_device(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, user: User) -> None:
        device = await need_device(tx, ctx.account, input["SerialNumber"])
        if device.user:
            raise errors.already_exists("MFA Device is already in use.")
        if len(user.mfa) >= MAX_DEVICES:
            raise errors.quota("MFADevicesPerUser", MAX_DEVICES)
        device.step = _two_codes(device, input, ctx.now())
        device.user, device.enabled = user.name, ctx.now()
        user.mfa.append(device.arn(ctx.account))
        _put(tx, device)

    await change(ctx, User, input["UserName"], edit)
    return {}


@service.operation("ResyncMFADevice", on(User))
async def resync_mfa_device(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        user = await need(tx, User, input["UserName"])
        device = await need_device(tx, ctx.account, input["SerialNumber"])
        if device.user != user.name:
            raise errors.no_such_entity("MFA Device invalid for user.")
        device.step = _two_codes(device, input, ctx.now())
        _put(tx, device)

    await ctx.store.transact(write)
    return {}


@service.operation("DeactivateMFADevice", on(User))
async def deactivate_mfa_device(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, user: User) -> None:
        device = await need_device(tx, ctx.account, input["SerialNumber"])
        if device.user != user.name:
            raise errors.no_such_entity("MFA Device invalid for user.")
        device.user, device.enabled = "", 0.0
        user.mfa.remove(device.arn(ctx.account))
        _put(tx, device)

    await change(ctx, User, caller_name(ctx, input), edit)
    return {}


@service.operation("ListMFADevices", on(User))
async def list_mfa_devices(ctx: Context, input: Input) -> Output:
    user = await need(ctx.store, User, caller_name(ctx, input))
    serials, more = page(user.mfa, input, str)
    devices = [await need_device(ctx.store, ctx.account, serial) for serial in serials]
    shown = [
        {"UserName": user.name, "SerialNumber": device.arn(ctx.account), "EnableDate": shapes.when(device.enabled)} for device in devices
    ]
    return {"MFADevices": shown, **more}


@service.operation("GetMFADevice", on(User))
async def get_mfa_device(ctx: Context, input: Input) -> Output:
    device = await need_device(ctx.store, ctx.account, input["SerialNumber"])
    user = input.get("UserName") or own_name(ctx) or device.user
    if not device.user or device.user != user:
        raise errors.no_such_entity("MFA Device invalid for user.")
    return {"UserName": device.user, "SerialNumber": device.arn(ctx.account), "EnableDate": shapes.when(device.enabled)}


@service.operation("ListVirtualMFADevices", listing("mfa"))
async def list_virtual_mfa_devices(ctx: Context, input: Input) -> Output:
    status = input.get("AssignmentStatus", "Any")
    devices, more = await page_of(ctx.store, Device, input, lambda device: status == "Any" or (device.user != "") is (status == "Assigned"))
    shown = []
    for device in devices:
        shape: dict[str, object] = {"SerialNumber": device.arn(ctx.account)}
        user = await find(ctx.store, User, device.user) if device.user else None
        if user is not None:
            shape |= {"EnableDate": shapes.when(device.enabled), "User": shapes.user(user, ctx.account, full=False)}
        shown.append(shape)
    return {"VirtualMFADevices": shown, **more}


@service.operation("TagMFADevice", _on_device)
async def tag_mfa_device(ctx: Context, input: Input) -> Output:
    tags = checked(input["Tags"])

    async def write(tx: Transaction) -> None:
        device = await need_device(tx, ctx.account, input["SerialNumber"])
        device.tags = merged(device.tags, tags)
        _put(tx, device)

    await ctx.store.transact(write)
    return {}


@service.operation("UntagMFADevice", _on_device)
async def untag_mfa_device(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        device = await need_device(tx, ctx.account, input["SerialNumber"])
        device.tags = without(device.tags, input["TagKeys"])
        _put(tx, device)

    await ctx.store.transact(write)
    return {}


@service.operation("ListMFADeviceTags", _on_device)
async def list_mfa_device_tags(ctx: Context, input: Input) -> Output:
    device = await need_device(ctx.store, ctx.account, input["SerialNumber"])
    tags, more = page(shapes.tag_list(device.tags), input, lambda tag: tag["Key"])
    return {"Tags": tags, **more}
