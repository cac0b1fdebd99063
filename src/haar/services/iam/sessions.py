"""Temporary credentials: the session is sealed into its token, nothing is stored for it."""

from haar.auth import tokens
from haar.auth.principal import Credential, Principal
from haar.execution.contract import SessionKeys
from haar.services.iam.keys import key_id, secret
from haar.services.service import Host


def issue_session(host: Host, principal: Principal, seconds: int) -> SessionKeys:
    """Keys that are this principal's for so many seconds."""
    issued = host.clock.now()
    expires = float(int(issued + seconds))
    access_key_id, secret_key = key_id(host, "ASIA"), secret(host.ids)
    claims = tokens.claims_of(principal, access_key_id=access_key_id, secret_key=secret_key, issued=issued, expires=expires)
    return SessionKeys(access_key_id, secret_key, tokens.seal(host.secret, claims, host.ids.bytes(12)), expires)


def open_session(host: Host, token: str) -> Credential | None:
    """The credential in a token that this platform sealed, expired or not."""
    claims = tokens.open(host.secret, token)
    return None if claims is None else claims.credential()
