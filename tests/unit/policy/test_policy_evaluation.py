"""The evaluation logic: which layers must allow, whose deny counts, and how a decision explains itself."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.policy.decision import AccessRequest, Decision, Match
from haar.policy.document import Policy, compile_policy
from haar.policy.errors import PolicyError
from haar.policy.evaluate import evaluate
from haar.policy.messages import access_denied_message

ACCOUNT, OTHER = "123456789012", "999999999999"
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/t"
USER = f"arn:aws:iam::{ACCOUNT}:user/bob"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/reader"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/s1"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ACTION = "dynamodb:GetItem"


def statement(effect: str = "Allow", action: Any = "dynamodb:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource} | more


def policy(*statements: dict[str, Any], name: str = "p") -> Policy:
    return compile_policy(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}), name)


ALLOW, DENY, NOTHING = policy(statement()), policy(statement("Deny")), policy(statement(action="s3:*"))


def to(principal: Any, effect: str = "Allow", key: str = "Principal", **more: Any) -> Policy:
    """A resource policy that names a principal."""
    return policy(statement(effect, **{key: principal}) | more, name="resource")


def request(
    kind: str = "user", arn: str | None = None, *, action: str = ACTION, resource: str = TABLE, owner: str = "", **context: str
) -> AccessRequest:
    arns = {
        "user": USER,
        "assumed-role": SESSION,
        "root": ROOT,
        "anonymous": "",
        "federated-user": f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
    }
    return AccessRequest(
        action=action,
        resource=resource,
        principal_arn=arns.get(kind, "") if arn is None else arn,
        principal_account="" if kind in ("anonymous", "service", "federated") else ACCOUNT,
        principal_kind=kind,
        role_arn=ROLE if kind == "assumed-role" else "",
        resource_account=owner,
        context={key.replace("__", ":"): [value] for key, value in context.items()},
    )


def test_nothing_is_allowed_by_itself() -> None:
    decision = evaluate(request(), identity=[])
    assert decision == Decision("implicitDeny", f"because no identity-based policy allows the {ACTION} action")
    assert not decision.allowed


def test_the_message() -> None:
    decision = evaluate(request(), identity=[NOTHING])
    assert access_denied_message(USER, ACTION, TABLE, decision) == (
        f"User: {USER} is not authorized to perform: {ACTION} on resource: {TABLE} "
        f"because no identity-based policy allows the {ACTION} action"
    )
    assert access_denied_message("", ACTION, "*", decision).startswith(
        f"User: anonymous is not authorized to perform: {ACTION} on resource: * because"
    )


def test_an_allow_says_which_statements_allowed() -> None:
    one = policy(statement(action="s3:*"), statement(Sid="Read"), name="one")
    decision = evaluate(request(), identity=[one, ALLOW], boundary=policy(statement(), name="edge"))
    assert decision == Decision(
        "allowed",
        "",
        (
            Match("one", "identity-based policy", 1, "Read"),
            Match("p", "identity-based policy", 0),
            Match("edge", "permissions boundary", 0),
        ),
    )


def test_a_deny_says_which_statement_denied_and_no_other() -> None:
    decision = evaluate(request(), identity=[ALLOW, policy(statement("Deny", Sid="No"), name="d")])
    assert decision == Decision(
        "explicitDeny", "with an explicit deny in an identity-based policy", (Match("d", "identity-based policy", 0, "No"),)
    )


NO = {
    "identity": f"because no identity-based policy allows the {ACTION} action",
    "boundary": f"because no permissions boundary allows the {ACTION} action",
    "session": f"because no session policy allows the {ACTION} action",
    "resource": f"because no resource-based policy allows the {ACTION} action",
}
DENIED = {
    "identity": "with an explicit deny in an identity-based policy",
    "boundary": "with an explicit deny in a permissions boundary",
    "session": "with an explicit deny in a session policy",
    "resource": "with an explicit deny in a resource-based policy",
}


@pytest.mark.parametrize("layer", ["identity", "boundary", "session", "resource"])
@pytest.mark.parametrize("kind", ["user", "assumed-role"])
def test_an_explicit_deny_in_any_layer(layer: str, kind: str) -> None:
    layers: dict[str, Any] = {"identity": [ALLOW], "boundary": ALLOW, "sessions": [ALLOW], "resource": to({"AWS": USER})}
    assert evaluate(request(kind), **layers).allowed
    changed = {"identity": {"identity": [ALLOW, DENY]}, "boundary": {"boundary": DENY}, "session": {"sessions": [ALLOW, DENY]}}
    changed["resource"] = {"resource": to("*", "Deny")}
    decision = evaluate(request(kind), **(layers | changed[layer]))
    assert (decision.outcome, decision.reason, decision.conditional) == ("explicitDeny", DENIED[layer], False)


def test_a_deny_that_always_holds_is_told_before_one_of_this_request() -> None:
    sometimes = policy(statement("Deny", Condition={"StringEquals": {"k": "v"}}), name="sometimes")
    decision = evaluate(request(k="v"), identity=[ALLOW, sometimes], boundary=DENY)
    assert (decision.reason, decision.conditional) == (DENIED["boundary"], False)
    assert {match.policy for match in decision.matches} == {"sometimes", "p"}


def same_account(kind: str) -> list[tuple[Any, bool, bool | None, bool | None, str | None]]:
    """Rows: the resource policy's principal (None: no policy), identity allows?, boundary allows?, session allows?, the layer to blame."""
    me: Any = {"AWS": SESSION if kind == "assumed-role" else USER}
    rows: list[tuple[Any, bool, bool | None, bool | None, str | None]] = [
        # no resource policy, or one for somebody else: identity, boundary and session must all allow
        *[
            (other, True, None, None, None)
            for other in (None, {"AWS": f"arn:aws:iam::{ACCOUNT}:user/eve"}, {"Service": "lambda.amazonaws.com"})
        ],
        (None, False, None, None, "identity"),
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, False, None, None, "identity"),
        (None, True, True, True, None),
        (None, True, False, True, "boundary"),
        (None, True, True, False, "session"),
        (None, True, False, False, "boundary"),
        (None, False, True, True, "identity"),
        # the account: its identity policies decide
        (ACCOUNT, False, None, None, "identity"),
        (ROOT, False, True, True, "identity"),
        (ROOT, True, None, None, None),
        (ROOT, True, True, False, "session"),
    ]
    # the caller itself, or everyone: nothing else is asked
    for named in (me, "*", "everyone"):
        for identity in (True, False):
            for boundary in (None, True, False):
                for session in (None, True, False):
                    rows.append((named, identity, boundary, session, None))
    return rows


def resource_policy(named: Any) -> Policy | None:
    if named is None:
        return None
    if named == "everyone":
        return to({"AWS": "*"})
    return to(named if isinstance(named, dict) or named == "*" else {"AWS": named})


def layers_of(identity: bool, boundary: bool | None, session: bool | None) -> dict[str, Any]:
    return {
        "identity": [NOTHING, ALLOW] if identity else [NOTHING],
        "boundary": None if boundary is None else ALLOW if boundary else NOTHING,
        "sessions": None if session is None else [ALLOW if session else NOTHING],
    }


@pytest.mark.parametrize("owner", ["", ACCOUNT])
@pytest.mark.parametrize("kind", ["user", "assumed-role"])
def test_within_one_account(kind: str, owner: str) -> None:
    for named, identity, boundary, session, blame in same_account(kind):
        decision = evaluate(request(kind, owner=owner), resource=resource_policy(named), **layers_of(identity, boundary, session))
        row = (named, identity, boundary, session)
        assert decision.allowed is (blame is None), row
        assert decision.reason == (NO[blame] if blame else ""), row


@pytest.mark.parametrize(
    ("identity", "boundary", "session", "blame"),
    [
        (False, None, None, None),
        (False, True, True, None),
        (False, False, None, "boundary"),
        (False, None, False, "session"),
        (True, False, True, "boundary"),
        (True, True, True, None),
    ],
)
def test_naming_the_role_is_limited_by_its_boundary_and_session(
    identity: bool, boundary: bool | None, session: bool | None, blame: str | None
) -> None:
    decision = evaluate(request("assumed-role"), resource=to({"AWS": ROLE}), **layers_of(identity, boundary, session))
    assert decision.reason == (NO[blame] if blame else "")
    assert decision.allowed is (blame is None)


def test_across_accounts_both_sides_must_allow() -> None:
    for kind, named in (
        ("user", USER),
        ("assumed-role", SESSION),
        ("assumed-role", ROLE),
        ("user", ROOT),
        ("user", ACCOUNT),
        ("user", "*"),
    ):
        foreign = request(kind, owner=OTHER)
        both = to({"AWS": named})
        assert evaluate(foreign, identity=[ALLOW], resource=both).allowed
        assert evaluate(foreign, identity=[], resource=both).reason == NO["identity"]
        assert evaluate(foreign, identity=[ALLOW], boundary=NOTHING, resource=both).reason == NO["boundary"]
        assert evaluate(foreign, identity=[ALLOW], sessions=[NOTHING], resource=both).reason == NO["session"]
        assert evaluate(foreign, identity=[ALLOW], resource=to({"AWS": OTHER})).reason == NO["resource"]
        assert evaluate(foreign, identity=[ALLOW]).reason == NO["resource"]
    assert evaluate(request("root", owner=OTHER), identity=[]).reason == NO["resource"]
    assert evaluate(request("root", owner=OTHER), identity=[], resource=to({"AWS": ROOT})).allowed


def test_root_may_everything_but_what_a_resource_denies() -> None:
    assert evaluate(request("root"), identity=[]) == Decision("allowed")
    assert evaluate(request("root"), identity=[], resource=to({"AWS": USER})).allowed
    assert evaluate(request("root"), identity=[], resource=to({"AWS": ROOT}, "Deny")).reason == DENIED["resource"]


@pytest.mark.parametrize(
    ("kind", "arn", "named"), [("service", "lambda.amazonaws.com", "Service"), ("federated", "accounts.google.com", "Federated")]
)
def test_services_and_providers_need_a_resource_policy(kind: str, arn: str, named: str) -> None:
    asked = request(kind, arn)
    assert evaluate(asked, identity=[ALLOW]).reason == NO["resource"]
    assert evaluate(asked, identity=[], resource=to({named: arn})).allowed
    assert evaluate(asked, identity=[], resource=to({named: ["x.amazonaws.com", arn]})).allowed
    assert evaluate(asked, identity=[], resource=to({named: "other.amazonaws.com"})).reason == NO["resource"]
    assert evaluate(asked, identity=[], resource=to({"AWS": ACCOUNT})).reason == NO["resource"]
    assert evaluate(asked, identity=[], resource=to({named: arn}, "Deny")).reason == DENIED["resource"]


def test_anonymous_callers_are_everyone() -> None:
    assert evaluate(request("anonymous"), identity=[ALLOW]).reason == NO["resource"]
    for everyone in ("*", {"AWS": "*"}):
        assert evaluate(request("anonymous"), identity=[], resource=to(everyone)).allowed
    for named in ({"AWS": ACCOUNT}, {"AWS": USER}, {"Service": "lambda.amazonaws.com"}, {"CanonicalUser": "abc"}):
        assert not evaluate(request("anonymous"), identity=[], resource=to(named)).allowed


def test_a_federated_user_may_nothing_without_a_session_policy() -> None:
    asked = request("federated-user")
    assert evaluate(asked, identity=[ALLOW]).reason == NO["session"]
    assert evaluate(asked, identity=[ALLOW], sessions=[ALLOW]).allowed
    assert evaluate(asked, identity=[NOTHING], sessions=[ALLOW]).reason == NO["identity"]
    assert evaluate(asked, identity=[], resource=to({"AWS": asked.principal_arn})).allowed


def test_a_statement_without_a_principal_grants_nothing_on_a_resource() -> None:
    assert evaluate(request(), identity=[], resource=ALLOW).reason == NO["identity"]


@pytest.mark.parametrize(
    ("listed", "denied"),
    [
        ([USER, ROOT], False),
        ([USER], True),
        ([ROOT], True),
        ([f"arn:aws:iam::{ACCOUNT}:user/eve", ROOT], True),
    ],
)
def test_not_principal_with_deny(listed: list[str], denied: bool) -> None:
    policy_of_resource = to({"AWS": listed}, "Deny", "NotPrincipal")
    assert evaluate(request(), identity=[ALLOW], resource=policy_of_resource).allowed is not denied
    assert evaluate(request(), identity=[ALLOW], boundary=ALLOW, resource=policy_of_resource).reason == DENIED["resource"]


def test_not_principal_of_a_session_lists_account_role_and_session() -> None:
    listed = [ROOT, ROLE, SESSION]
    assert evaluate(request("assumed-role"), identity=[ALLOW], resource=to({"AWS": listed}, "Deny", "NotPrincipal")).allowed
    for left_out in listed:
        fewer = [one for one in listed if one != left_out]
        assert not evaluate(request("assumed-role"), identity=[ALLOW], resource=to({"AWS": fewer}, "Deny", "NotPrincipal")).allowed


def test_not_principal_with_allow() -> None:
    assert evaluate(request(), identity=[], resource=to({"AWS": f"arn:aws:iam::{ACCOUNT}:user/eve"}, key="NotPrincipal")).allowed
    assert not evaluate(request(), identity=[], resource=to({"AWS": USER}, key="NotPrincipal")).allowed


def trust(principal: Any, effect: str = "Allow", **more: Any) -> Policy:
    return policy({"Effect": effect, "Action": "sts:AssumeRole", "Principal": principal} | more, name="trust")


def test_assuming_a_role() -> None:
    asked = request(action="sts:AssumeRole", resource=ROLE, owner=ACCOUNT)
    may, may_not = policy(statement(action="sts:AssumeRole")), policy(statement(action="s3:*"))
    assert evaluate(asked, identity=[may_not], resource=trust({"AWS": USER})).allowed, "named itself: no identity policy is needed"
    assert evaluate(asked, identity=[may], resource=trust({"AWS": ROOT})).allowed
    assert evaluate(asked, identity=[may_not], resource=trust({"AWS": ROOT})).reason == (
        "because no identity-based policy allows the sts:AssumeRole action"
    )
    other = trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/eve"})
    assert evaluate(asked, identity=[may], resource=other).reason == "because no role trust policy allows the sts:AssumeRole action"
    assert evaluate(asked, identity=[may], resource=trust({"AWS": USER}, "Deny")).reason == "with an explicit deny in the role trust policy"
    denied = policy(statement("Deny", "sts:*"))
    assert evaluate(asked, identity=[denied], resource=trust({"AWS": USER})).reason == "with an explicit deny in an identity-based policy"
    service = request("service", "lambda.amazonaws.com", action="sts:AssumeRole", resource=ROLE)
    assert evaluate(service, identity=[], resource=trust({"Service": "lambda.amazonaws.com"})).allowed
    assert not evaluate(service, identity=[], resource=trust({"Service": "ec2.amazonaws.com"})).allowed
    external = trust({"AWS": USER}, Condition={"StringEquals": {"sts:ExternalId": "42"}})
    assert not evaluate(asked, identity=[], resource=external).allowed
    known = request(action="sts:AssumeRole", resource=ROLE, sts__ExternalId="42")
    assert evaluate(known, identity=[], resource=external).allowed


def test_keys_that_the_request_decides() -> None:
    def by(key: str, value: str) -> Policy:
        return policy(statement(Condition={"StringEquals": {key: value}}))

    assert evaluate(request("assumed-role"), identity=[by("aws:PrincipalArn", ROLE)]).allowed
    assert evaluate(request(), identity=[by("aws:PrincipalArn", USER)]).allowed
    assert evaluate(request(), identity=[by("aws:PrincipalAccount", ACCOUNT)]).allowed
    assert evaluate(request(), identity=[by("aws:ResourceAccount", ACCOUNT)]).allowed
    told = request(aws__PrincipalArn="arn:told")
    assert evaluate(told, identity=[by("aws:PrincipalArn", "arn:told")]).allowed, "what the context says goes first"


CONDITION = {"Condition": {"StringEquals": {"k": "v"}}}
VARIABLE = f"arn:aws:dynamodb:*:{ACCOUNT}:table/${{k}}"


@pytest.mark.parametrize(
    ("statements", "conditional"),
    [
        ([statement()], False),
        ([statement(**CONDITION)], True),
        ([statement(**CONDITION), statement()], False),
        ([statement(action="s3:*", **CONDITION), statement()], False),
        ([statement(resource="arn:aws:s3:::b", **CONDITION), statement()], False),
        ([statement(resource=VARIABLE)], True),
        ([statement(resource=[VARIABLE, "*"])], False),
        ([statement("Deny", **CONDITION), statement()], True),
        ([statement("Deny", resource=VARIABLE), statement()], True),
        ([statement("Deny", action="s3:*", **CONDITION), statement()], False),
        ([statement("Deny", **CONDITION), statement("Deny")], False),
        ([statement(action="s3:*", **CONDITION)], False),
        ([], False),
    ],
)
@pytest.mark.parametrize("value", ["v", "t", "other"])
def test_a_decision_says_whether_the_context_had_a_part(statements: list[dict[str, Any]], conditional: bool, value: str) -> None:
    assert evaluate(request(k=value), identity=[policy(*statements)]).conditional is conditional


def test_what_is_no_policy_is_not_compiled() -> None:
    for text in (
        "",
        "[]",
        "{",
        '{"Statement":[1]}',
        '{"Statement":[{"Effect":"Maybe"}]}',
        '{"Statement":[{"Effect":"Allow","Action":[1]}]}',
    ):
        with pytest.raises(PolicyError):
            compile_policy(text, "p")


# ---- invariants -----------------------------------------------------------------------------------------------------------

ACTIONS = ["dynamodb:GetItem", "dynamodb:PutItem", "s3:GetObject"]
RESOURCES = [TABLE, f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/u", "*"]
PRINCIPALS: list[Any] = ["*", {"AWS": USER}, {"AWS": ROLE}, {"AWS": SESSION}, {"AWS": ACCOUNT}, {"Service": "lambda.amazonaws.com"}]

statements_of_any_kind = st.builds(
    lambda effect, actions, negated, resource, condition, principal: (
        {
            "Effect": effect,
            ("NotAction" if negated else "Action"): actions,
            "Resource": resource,
            "Principal": principal,
        }
        | condition
    ),
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.lists(st.sampled_from([*ACTIONS, "*", "dynamodb:*", "dynamodb:Get*"]), min_size=1, max_size=2),
    st.booleans(),
    st.sampled_from([*RESOURCES, f"arn:aws:dynamodb:*:{ACCOUNT}:table/*", VARIABLE]),
    st.sampled_from([{}, {}, CONDITION, {"Condition": {"StringNotEquals": {"k": "v"}}}]),
    st.sampled_from(PRINCIPALS),
)
policies = st.lists(statements_of_any_kind, max_size=4)
requests = st.builds(
    lambda kind, action, resource, owner, context: request(
        kind, "lambda.amazonaws.com" if kind == "service" else None, action=action, resource=resource, owner=owner, **context
    ),
    st.sampled_from(["user", "assumed-role", "root", "service", "anonymous", "federated-user"]),
    st.sampled_from(ACTIONS),
    st.sampled_from(RESOURCES),
    st.sampled_from(["", ACCOUNT, OTHER]),
    st.sampled_from([{}, {"k": "v"}, {"k": "t"}]),
)
Layers = tuple[list[dict[str, Any]], list[dict[str, Any]] | None, list[dict[str, Any]] | None, list[dict[str, Any]] | None]
layer_sets = st.tuples(policies, st.none() | policies, st.none() | policies, st.none() | policies)


def decide(asked: AccessRequest, layers: Sequence[list[dict[str, Any]] | None]) -> Decision:
    identity, boundary, sessions, resource = (None if one is None else policy(*one) for one in layers)
    return evaluate(
        asked,
        identity=[] if identity is None else [identity],
        boundary=boundary,
        sessions=None if sessions is None else [sessions],
        resource=resource,
    )


@given(requests, layer_sets, st.integers(0, 3), statements_of_any_kind)
def test_adding_a_deny_never_allows(asked: AccessRequest, layers: Layers, where: int, extra: dict[str, Any]) -> None:
    before = decide(asked, layers)
    changed = [*layers]
    changed[where] = [*(changed[where] or []), extra | {"Effect": "Deny"}]
    after = decide(asked, changed)
    assert before.allowed or not after.allowed
    assert before.outcome != "explicitDeny" or after.outcome == "explicitDeny"


@given(requests, layer_sets, st.randoms())
def test_the_order_of_statements_is_irrelevant(asked: AccessRequest, layers: Layers, random: Any) -> None:
    shuffled = [None if one is None else random.sample(one, len(one)) for one in layers]
    one, other = decide(asked, layers), decide(asked, shuffled)
    assert (one.outcome, one.reason, one.conditional) == (other.outcome, other.reason, other.conditional)
    assert set(one.missing_context) == set(other.missing_context)


@given(requests, layer_sets, st.sampled_from([{}, {"k": ["v"]}, {"k": ["t"]}, {"k": ["v", "t"]}]))
def test_what_is_unconditional_holds_in_every_context(asked: AccessRequest, layers: Layers, context: dict[str, list[str]]) -> None:
    one = decide(asked, layers)
    other = decide(
        AccessRequest(
            asked.action, asked.resource, asked.principal_arn, asked.principal_account, asked.principal_kind, asked.role_arn,
            asked.resource_account, context,
        ),
        layers,
    )  # fmt: skip
    assert one.conditional == other.conditional
    if not one.conditional:
        assert (one.outcome, one.reason) == (other.outcome, other.reason)


@given(requests, layer_sets, st.integers(1, 2))
def test_a_further_limit_never_allows(asked: AccessRequest, layers: Layers, where: int) -> None:
    without = [*layers]
    without[where] = None
    assert decide(asked, without).allowed or not decide(asked, layers).allowed or asked.principal_kind == "federated-user"


@given(requests, layer_sets)
def test_without_an_allow_nothing_is_allowed(asked: AccessRequest, layers: Layers) -> None:
    denying = [None if one is None else [statement for statement in one if statement["Effect"] == "Deny"] for one in layers]
    decision = decide(asked, denying)
    assert not decision.allowed or (asked.principal_kind == "root" and asked.resource_account != OTHER)
    assert bool(decision.reason) is not decision.allowed
