"""Who has a key, and what they may do: in memory, dropped the moment that IAM changes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from haar.auth.principal import Credential, Principal
from haar.policy.decision import AccessRequest, Decision
from haar.policy.document import Policy
from haar.policy.evaluate import evaluate
from haar.services.iam.catalog import find_policy
from haar.services.iam.documents import Compiler
from haar.services.iam.entities import decode, find, find_by_id
from haar.services.iam.records import KEYS, WATCHED, AccessKey, User
from haar.services.iam.root import find_root, root_principal
from haar.services.iam.sessions import open_session
from haar.services.iam.subjects import ALLOW_ALL, DENY_ALL, Subject, load_subject
from haar.services.service import Demand, Host
from haar.store.cache import Cached
from haar.wire.errors import CommonError

DECISION_BOUND = 50_000
"""Decisions remembered; all are dropped when there are more."""

PRINCIPAL_TYPES = {"root": "Account", "user": "User", "assumed-role": "AssumedRole", "federated-user": "FederatedUser"}
NO_SUBJECT = Subject()
INVALID_SESSION = "The security token included in the request is invalid."


class Directory:
    """One a host (`host.get(Directory)`)."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.keys: Cached[Credential] = Cached(host.store, WATCHED, self._load_key)
        self.sessions: Cached[Credential] = Cached(host.store, WATCHED, self._load_session)
        self._subjects: Cached[Subject] = Cached(host.store, WATCHED, self._load_subject)
        self._decisions: dict[str, tuple[Principal, dict[tuple[str, str], Decision]]] = {}
        """By key id (or ARN): a string's hash is kept, a principal's is not."""
        self._remembered = 0
        self._generation = 0
        for space in WATCHED:
            host.store.watch(space, self._forget)

    def _forget(self) -> None:
        self._generation += 1
        self._remembered = 0
        self._decisions.clear()

    # ---- credentials -------------------------------------------------------------------------------------------------------

    async def credential(self, access_key_id: str, token: str | None) -> Credential | None:
        try:
            if not token:
                return self.keys.peek(access_key_id) or await self.keys.get(access_key_id)
            found = self.sessions.peek(token) or await self.sessions.get(token)
        except LookupError:
            return None
        return found if found.access_key_id == access_key_id else None

    async def _load_key(self, access_key_id: str) -> Credential:
        """A long-term credential. Raises LookupError, which is not kept: unknown keys cannot push known ones out."""
        account = self.host.account
        raw = await self.host.store.get(KEYS, access_key_id.encode())
        if raw is None:
            root = await find_root(self.host)
            if root is None or root.id != access_key_id:
                raise LookupError(access_key_id)
            return Credential(root.id, root.secret, root_principal(account, root.id))
        key = decode(raw, AccessKey)
        user = await find(self.host.store, User, key.user)
        if user is None or not key.active:
            raise LookupError(access_key_id)
        principal = Principal("user", account, user.arn(account), user.id, user.name, key.id)
        return Credential(key.id, key.secret, principal)

    async def _load_session(self, token: str) -> Credential:
        """A temporary credential whose user or role is still there; raises LookupError."""
        credential = open_session(self.host, token)
        if credential is None:
            raise LookupError("session token")
        principal = credential.principal
        if principal.kind == "root" or (principal.kind == "federated-user" and not principal.name):
            return credential
        if principal.kind == "federated-user":
            issuer = await find(self.host.store, User, principal.name)
            if issuer is None or issuer.created > (principal.issued or 0):
                raise LookupError("session token")
            return credential
        holder = await find_by_id(self.host.store, principal.id.partition(":")[0])
        if holder is None:
            raise LookupError("session token")
        if principal.kind == "user":
            # It may have another name by now.
            return replace(credential, principal=replace(principal, name=holder.name, arn=holder.arn(self.host.account)))
        return credential

    # ---- decisions ---------------------------------------------------------------------------------------------------------

    async def _load_subject(self, unique: str) -> Subject:
        return await load_subject(self.host, await find_by_id(self.host.store, unique))

    async def _subject(self, principal: Principal) -> Subject:
        """The policies of whom the principal is; those of nobody when that one is gone."""
        if principal.kind in ("user", "assumed-role"):
            unique = principal.id.partition(":")[0]
            return self._subjects.peek(unique) or await self._subjects.get(unique)
        if principal.kind != "federated-user":
            return NO_SUBJECT
        if not principal.name:
            return Subject(identity=(self._compiled(ALLOW_ALL, "root"),))
        return await load_subject(self.host, await find(self.host.store, User, principal.name))

    def _compiled(self, document: str, name: str) -> Policy:
        return self.host.get(Compiler).policy(document, name)

    async def _session_policy(self, given: str) -> Policy:
        """A session policy: a document, or the ARN of a managed one, which may be gone by now."""
        if not given.startswith("arn:"):
            return self._compiled(given, "session")
        policy = await find_policy(self.host.store, self.host.account, given)
        return self._compiled(DENY_ALL if policy is None else policy.document, given)

    def known(self, principal: Principal, action: str, resource: str) -> Decision | None:
        """The remembered decision: no I/O, as little as can be."""
        entry = self._decisions.get(principal.access_key_id or principal.arn)
        if entry is None or (entry[0] is not principal and entry[0] != principal):
            return None
        return entry[1].get((action, resource))

    def _remember(self, principal: Principal, action: str, resource: str, decision: Decision) -> None:
        if self._remembered >= DECISION_BOUND:
            self._forget()
        key = principal.access_key_id or principal.arn
        entry = self._decisions.get(key)
        if entry is None or (entry[0] is not principal and entry[0] != principal):
            entry = self._decisions[key] = (principal, {})
        entry[1][action, resource] = decision
        self._remembered += 1

    async def decide(self, principal: Principal, demand: Demand, context: Mapping[str, Sequence[str]]) -> Decision:
        _refuse_bare_session(principal, demand.action)
        plain = demand.resource_policy is None
        if plain and (known := self.known(principal, demand.action, demand.resource)) is not None:
            return known
        generation = self._generation
        subject = await self._subject(principal)
        request = AccessRequest(
            action=demand.action,
            resource=demand.resource,
            principal_arn=principal.arn,
            principal_account=principal.account,
            principal_kind=principal.kind,
            role_arn=principal.role_arn,
            resource_account=account_of_resource(demand.resource),
            context=facts(principal, subject, demand, context, self.host.clock.now()),
        )
        decision = evaluate(
            request,
            identity=subject.identity,
            boundary=subject.boundary,
            sessions=[await self._session_policy(given) for given in principal.session_policies],
            resource=None if demand.resource_policy is None else self._compiled(demand.resource_policy, "resource"),
        )
        if plain and not decision.conditional and generation == self._generation:
            self._remember(principal, demand.action, demand.resource, decision)
        return decision

    async def tags_of(self, principal: Principal) -> dict[str, str]:
        """aws:PrincipalTag: the user's or role's own tags, and the session's over them."""
        return (await self._subject(principal)).tags | dict(principal.tags)


def _refuse_bare_session(principal: Principal, action: str) -> None:
    """IAM answers no session of GetSessionToken without MFA, and none of GetFederationToken.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_getsessiontoken.html
    """
    if principal.issued is None or not action.startswith("iam:") or action == "iam:PassRole":
        return
    if principal.kind == "federated-user" or (principal.kind in ("user", "root") and not principal.mfa):
        raise CommonError("UnrecognizedClient", INVALID_SESSION)


def account_of_resource(arn: str) -> str:
    """The account in an ARN, or empty when it has none (`*`, `arn:aws:apigateway:REGION::/…`, AWS's own policies)."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 and len(parts[4]) == 12 and parts[4].isdigit() else ""


def facts(
    principal: Principal, subject: Subject, demand: Demand, context: Mapping[str, Sequence[str]], now: float
) -> dict[str, Sequence[str]]:
    """The condition keys of one request: the gateway's, the service's, and those that the principal and the resource decide."""
    found: dict[str, Sequence[str]] = {**context, **demand.conditions}
    if principal.kind in PRINCIPAL_TYPES:
        found["aws:PrincipalType"] = (PRINCIPAL_TYPES[principal.kind],)
        found["aws:userid"] = (principal.id,)
    if principal.kind == "user":
        found["aws:username"] = (principal.name,)
    for key, value in {**subject.tags, **dict(principal.tags)}.items():
        found[f"aws:PrincipalTag/{key}"] = (value,)
    if principal.issued is not None:
        found["aws:TokenIssueTime"] = (datetime.fromtimestamp(principal.issued, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),)
        found.setdefault("aws:MultiFactorAuthPresent", ("true" if principal.mfa else "false",))
        if principal.mfa:
            found["aws:MultiFactorAuthAge"] = (str(int(now - principal.issued)),)
    if principal.source_identity:
        found["aws:SourceIdentity"] = (principal.source_identity,)
    for key, value in principal.conditions:
        found[key] = (value,)
    for key, value in demand.tags.items():
        found[f"aws:ResourceTag/{key}"] = (value,)
    return found
