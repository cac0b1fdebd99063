"""The evaluation logic: explicit deny, then what each kind of policy must allow.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html
"""

from collections.abc import Sequence

from haar.policy.conditions import RESOURCE_ONLY, Facts, all_hold
from haar.policy.decision import AccessRequest, Decision, Layer, Match
from haar.policy.document import DIRECT, NOBODY, ROLE, Policy, Statement

IDENTITY: Layer = "identity-based policy"
RESOURCE: Layer = "resource-based policy"
BOUNDARY: Layer = "permissions boundary"
SESSION: Layer = "session policy"

TRUST_ACTIONS = frozenset(
    (
        "sts:assumerole",
        "sts:assumerolewithsaml",
        "sts:assumerolewithwebidentity",
        "sts:tagsession",
        "sts:setsourceidentity",
        "sts:setcontext",
    )
)
"""Actions on a role that its trust policy must allow, whatever identity policies say."""

NO_STRENGTH: frozenset[int] = frozenset()


class _Survey:
    """What the policies of one layer say of a request. "Firm" is what no condition and no variable had a part in."""

    __slots__ = ("allows", "denies", "firm", "firm_deny", "granted", "layer", "open_allow", "open_deny")

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.denies: list[tuple[Policy, Statement]] = []
        self.allows: list[tuple[Policy, Statement]] = []
        self.granted: frozenset[int] = NO_STRENGTH
        self.firm: frozenset[int] = NO_STRENGTH
        self.firm_deny = False
        self.open_deny = False
        self.open_allow = False


def _survey(layer: Layer, policies: Sequence[Policy], request: AccessRequest, action: str, facts: Facts, bounded: bool = False) -> _Survey:
    found = _Survey(layer)
    service = action.partition(":")[0]
    resource = request.resource
    for policy in policies:
        for statement in policy.by_service.get(service, policy.of_any):
            # The usual ways of matching are written out: this loop is what a decision costs.
            names = statement.actions
            named = action in names.exact or action.startswith(names.prefixes) or (names.regexes != () and names.fits(action))
            if named is statement.not_action:
                continue
            on = statement.resources
            if on is None:
                applies: bool | None = True
            elif resource in on.exact or resource.startswith(on.prefixes) or (on.regexes != () and on.fits(resource)):
                applies = not statement.not_resource
            else:
                applies = None if on.templates else statement.not_resource
            if applies is False:
                continue
            strength = DIRECT if layer is not RESOURCE else statement.names(request, bounded)
            if strength == NOBODY:
                continue
            firm = applies is True and not statement.conditions
            if not firm:
                if statement.allow:
                    found.open_allow = True
                else:
                    found.open_deny = True
                # Both are asked, so that every key without a value is reported.
                here = applies or statement.matches_variable_resource(resource, facts)
                if not all_hold(statement.conditions, facts) or not here:
                    continue
            if statement.allow:
                found.allows.append((policy, statement))
                if strength not in found.granted:
                    found.granted |= {strength}
                if firm and strength not in found.firm:
                    found.firm |= {strength}
            elif firm and not found.firm_deny:
                found.firm_deny = True
                found.denies.insert(0, (policy, statement))
            else:
                found.denies.append((policy, statement))
    return found


def evaluate(
    request: AccessRequest,
    *,
    identity: Sequence[Policy],
    boundary: Policy | None = None,
    sessions: Sequence[Policy] | None = None,
    resource: Policy | None = None,
) -> Decision:
    """Decides one request.

    `sessions` are a session's own policies (None or empty: it has none), `resource` the policy of the resource: for `sts:AssumeRole…`
    the role's trust policy. For callers of kind root, service, federated and anonymous, `identity`, `boundary` and `sessions` are
    not asked.
    """
    action = request.action.lower()
    kind = request.principal_kind
    facts = Facts(request)
    own = kind != "root" and kind not in RESOURCE_ONLY
    surveys = []
    if own:
        surveys.append(_survey(IDENTITY, identity, request, action, facts))
        if boundary is not None:
            surveys.append(_survey(BOUNDARY, (boundary,), request, action, facts))
        if sessions or kind == "federated-user":
            surveys.append(_survey(SESSION, sessions or (), request, action, facts))
    if resource is not None:
        surveys.append(_survey(RESOURCE, (resource,), request, action, facts, own and boundary is not None))
    missing = tuple(facts.missing.values())
    trust = action in TRUST_ACTIONS and resource is not None
    if (denied := _explicit_deny(surveys, trust, missing)) is not None:
        return denied
    blocked = _blocked(request, trust, {survey.layer: survey.granted for survey in surveys})
    if blocked is not None:
        open_question = any(survey.open_allow or survey.open_deny for survey in surveys)
        return Decision("implicitDeny", _implicit_reason(blocked, request.action, trust), (), open_question, missing)
    conditional = any(survey.open_deny for survey in surveys)
    if not conditional and any(survey.open_allow for survey in surveys):
        conditional = _blocked(request, trust, {survey.layer: survey.firm for survey in surveys}) is not None
    matches = tuple([_match(survey.layer, *one) for survey in surveys for one in survey.allows])
    return Decision("allowed", "", matches, conditional, missing)


def _explicit_deny(surveys: Sequence[_Survey], trust: bool, missing: tuple[str, ...]) -> Decision | None:
    denying = [survey for survey in surveys if survey.denies]
    if not denying:
        return None
    firm = any(survey.firm_deny for survey in denying)
    # One that holds whatever the context is named first: then the reason holds as long as the decision does.
    told = next(survey for survey in denying if survey.firm_deny or not firm)
    matches = tuple(_match(survey.layer, *one) for survey in denying for one in survey.denies)
    article = "an" if told.layer is IDENTITY else "a"
    where = "the role trust policy" if trust and told.layer is RESOURCE else f"{article} {told.layer}"
    return Decision("explicitDeny", f"with an explicit deny in {where}", matches, not firm, missing)


def _blocked(request: AccessRequest, trust: bool, granted: dict[Layer, frozenset[int]]) -> Layer | None:
    """The layer that does not allow what it must; None when the request is allowed. `granted` has an entry for every layer there is."""
    kind = request.principal_kind
    by_resource = granted.get(RESOURCE, NO_STRENGTH)
    if kind in RESOURCE_ONLY:
        return None if by_resource else RESOURCE
    identity = kind == "root" or bool(granted.get(IDENTITY))
    foreign = bool(request.resource_account) and request.resource_account != request.principal_account
    if (foreign or trust) and not by_resource:
        return RESOURCE
    if not foreign:
        if DIRECT in by_resource:
            return None
        # Naming the account only hands the decision to its identity policies.
        identity = ROLE in by_resource or identity
    if not identity:
        return IDENTITY
    for layer in (BOUNDARY, SESSION):
        if layer in granted and not granted[layer]:
            return layer
    return None


def _implicit_reason(layer: Layer, action: str, trust: bool) -> str:
    which = "role trust policy" if trust and layer is RESOURCE else layer
    return f"because no {which} allows the {action} action"


def _match(layer: Layer, policy: Policy, statement: Statement) -> Match:
    return Match(policy.name, layer, statement.index, statement.sid)
