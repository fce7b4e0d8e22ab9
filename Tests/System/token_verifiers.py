"""Verifies access tokens with joserfc and PyJWT, unchanged, against the published keys.

token_verifiers.py TOKEN...

ISSUER  the gateway

It prints the id of the key of each token.
"""

import os
import sys

import jwt as pyjwt
import requests
from joserfc import errors, jwk, jwt

ISSUER = os.environ["ISSUER"]
JWKS_URI = requests.get(f"{ISSUER}/.well-known/oauth-authorization-server").json()["jwks_uri"]
AUDIENCE = "smartspec"


def refuses(error, verify):
    try:
        verify()
    except error:
        return
    raise SystemExit(f"no {error.__name__}")


def verify_with_joserfc(token, keys):
    def verify(keys=keys, issuer=ISSUER, audience=AUDIENCE):
        decoded = jwt.decode(token, keys, algorithms=["ES256"])
        rules = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
        )
        rules.validate(decoded.claims)
        return decoded

    decoded = verify()
    assert decoded.header["typ"] == "at+jwt", decoded.header
    key = keys.get_by_kid(decoded.header["kid"])
    assert key.thumbprint() == decoded.header["kid"], decoded.header
    stranger = jwk.ECKey.generate_key("P-256", {"kid": decoded.header["kid"], "alg": "ES256", "use": "sig"})
    refuses(errors.BadSignatureError, lambda: verify(keys=jwk.KeySet([stranger])))
    refuses(errors.InvalidClaimError, lambda: verify(audience="other"))
    refuses(errors.InvalidClaimError, lambda: verify(issuer=ISSUER + "/"))
    return decoded.header["kid"]


def verify_with_pyjwt(token, client):
    key = client.get_signing_key_from_jwt(token)

    def verify(key=key.key, issuer=ISSUER, audience=AUDIENCE):
        return pyjwt.decode(
            token, key, algorithms=["ES256"], issuer=issuer, audience=audience, options={"require": ["exp", "iat", "sub"]}
        )

    verify()
    assert pyjwt.get_unverified_header(token)["typ"] == "at+jwt"
    stranger = jwk.ECKey.generate_key("P-256").public_key
    refuses(pyjwt.InvalidSignatureError, lambda: verify(key=stranger))
    refuses(pyjwt.InvalidAudienceError, lambda: verify(audience="other"))
    refuses(pyjwt.InvalidIssuerError, lambda: verify(issuer=ISSUER + "/"))
    return key.key_id


keys = jwk.KeySet.import_key_set(requests.get(JWKS_URI).json())
client = pyjwt.PyJWKClient(JWKS_URI)
for token in sys.argv[1:]:
    key_id = verify_with_joserfc(token, keys)
    assert verify_with_pyjwt(token, client) == key_id
    print(key_id)
