"""Signs devices in with a stock OAuth client, unchanged, as a program does that knows the issuer only.

oauth_clients.py requests-oauth2client | authlib | oauthlib

ISSUER                      the gateway
USER_TOKEN                  an access token of the user who decides about the devices
SERVICE_TOKEN               the token of one of our own servers, which may introspect
EXPIRED_CODE                a device code of smartspec-cli that has expired
AUTHLIB_INSECURE_TRANSPORT  1: the gateway of a test has no TLS
OAUTHLIB_INSECURE_TRANSPORT 1: likewise
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE
from oauthlib.oauth2 import DeviceClient, OAuth2Error
from requests_oauth2client import BearerToken, DeviceAuthorizationPollingJob, EndpointError, OAuth2Client

ISSUER = os.environ["ISSUER"]
USER_TOKEN = os.environ["USER_TOKEN"]
SERVICE_TOKEN = os.environ["SERVICE_TOKEN"]
EXPIRED_CODE = os.environ["EXPIRED_CODE"]
CLIENT = "smartspec-cli"
SCOPE = "credits llm"
METADATA = requests.get(f"{ISSUER}/.well-known/oauth-authorization-server").json()


def waiting(poll, interval):
    """A loop of polls as RFC 8628 section 3.5 asks of a client: it waits first, and 5 s longer after slow_down."""

    def next_poll():
        nonlocal interval
        time.sleep(interval)
        answer = poll()
        if answer == "slow_down":
            interval += 5
        return answer

    return next_poll


class RequestsOAuth2Client:
    """Its own loop of polls waits and slows down. It does not read the endpoint for codes from the metadata."""

    def __init__(self):
        self.client = OAuth2Client.from_discovery_endpoint(
            issuer=ISSUER,
            client_id=CLIENT,
            device_authorization_endpoint=METADATA["device_authorization_endpoint"],
            testing=True,
        )
        self.server = OAuth2Client.from_discovery_endpoint(issuer=ISSUER, auth=BearerToken(SERVICE_TOKEN), testing=True)

    def request_codes(self):
        codes = self.client.authorize_device(scope=SCOPE)
        assert not codes.is_expired(), codes.expires_at
        return codes.device_code, codes.user_code, codes.interval

    def poller(self, device_code, interval):
        job = DeviceAuthorizationPollingJob(self.client, device_code, interval=interval)

        def next_poll():
            waited = job.interval
            try:
                tokens = job()
            except EndpointError as error:
                return error.error
            if tokens:
                return {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "scope": tokens.scope}
            return "slow_down" if job.interval > waited else "authorization_pending"

        return next_poll

    def refresh(self, token):
        try:
            tokens = self.client.refresh_token(token)
        except EndpointError as error:
            return error.error
        return {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "scope": tokens.scope}

    def revoke(self, token):
        assert self.client.revoke_token(token, token_type_hint="refresh_token")

    def introspect(self, token):
        return self.server.introspect_token(token, token_type_hint="access_token")

    def introspect_as_device(self, token):
        try:
            return self.client.introspect_token(token)
        except EndpointError as error:
            return error.error


class Authlib:
    def __init__(self):
        metadata = AuthorizationServerMetadata(requests.get(get_well_known_url(ISSUER, external=True)).json())
        for member in metadata.REGISTRY_KEYS:
            # It wants a response type, and a server without an authorization endpoint has none.
            if member != "response_types_supported":
                getattr(metadata, f"validate_{member}")()
        assert metadata["issuer"] == ISSUER, metadata
        self.client = OAuth2Session(CLIENT, token_endpoint=metadata.token_endpoint)
        self.server = OAuth2Session(token={"access_token": SERVICE_TOKEN, "token_type": "Bearer"})

    def request_codes(self):
        codes = self.client.post(
            METADATA["device_authorization_endpoint"], data={"client_id": CLIENT, "scope": SCOPE}, withhold_token=True
        ).json()
        return codes["device_code"], codes["user_code"], codes["interval"]

    def poller(self, device_code, interval):
        def poll():
            try:
                return self.client.fetch_token(grant_type=DEVICE_CODE_GRANT_TYPE, device_code=device_code)
            except OAuthError as error:
                return error.error

        return waiting(poll, interval)

    def refresh(self, token):
        try:
            return self.client.refresh_token(refresh_token=token)
        except OAuthError as error:
            return error.error

    def revoke(self, token):
        assert self.client.revoke_token(METADATA["revocation_endpoint"], token, token_type_hint="refresh_token").ok

    def introspect(self, token):
        return self.server.introspect_token(METADATA["introspection_endpoint"], token, auth=self.server.token_auth).json()

    def introspect_as_device(self, token):
        return self.client.introspect_token(METADATA["introspection_endpoint"], token).json()["error"]


class OAuthLib:
    """It makes and reads messages, and sends none. It has no introspection and reads no metadata."""

    def __init__(self):
        self.client = DeviceClient(CLIENT)

    def request_codes(self):
        uri = self.client.prepare_request_uri(METADATA["device_authorization_endpoint"], scope=SCOPE.split())
        codes = requests.post(uri).json()
        return codes["device_code"], codes["user_code"], codes["interval"]

    def send(self, url, headers, body):
        answer = requests.post(url, data=body, headers=headers)
        try:
            tokens = self.client.parse_request_body_response(answer.text)
        except OAuth2Error as error:
            return error.error
        return dict(tokens, scope=" ".join(tokens["scope"]))

    def poller(self, device_code, interval):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = self.client.prepare_request_body(device_code, include_client_id=True)
        return waiting(lambda: self.send(METADATA["token_endpoint"], headers, body), interval)

    def refresh(self, token):
        return self.send(*self.client.prepare_refresh_token_request(METADATA["token_endpoint"], token, client_id=CLIENT))

    def revoke(self, token):
        url, headers, body = self.client.prepare_token_revocation_request(
            METADATA["revocation_endpoint"], token, token_type_hint="refresh_token", client_id=CLIENT
        )
        assert requests.post(url, data=body, headers=headers).ok


LIBRARIES = {"requests-oauth2client": RequestsOAuth2Client, "authlib": Authlib, "oauthlib": OAuthLib}


def decide(user_code, action):
    """Decides as the user does on the page of the gateway."""
    answer = requests.post(
        f"{ISSUER}/api/auth/device/authorize",
        json={"user_code": user_code, "action": action},
        headers={"authorization": f"Bearer {USER_TOKEN}"},
    )
    assert answer.status_code == 200, answer.text


def sign_in(library):
    """The device polls at its interval, and the user approves after the first poll."""
    device_code, user_code, interval = library.request_codes()
    assert interval == 5, interval
    poll = library.poller(device_code, interval)
    assert poll() == "authorization_pending"
    decide(user_code, "approve")
    tokens = poll()
    assert set(tokens["scope"].split()) == set(SCOPE.split()), tokens["scope"]
    return tokens


def sign_in_too_fast(library):
    """The device polls each second. It is slowed down, waits longer, and gets its tokens."""
    device_code, user_code, _ = library.request_codes()
    poll = library.poller(device_code, 1)
    assert poll() == "authorization_pending"
    assert poll() == "slow_down"
    decide(user_code, "approve")
    began = time.monotonic()
    tokens = poll()
    assert time.monotonic() - began >= 6, "the client did not wait longer"
    assert tokens["access_token"], tokens


def be_denied(library):
    device_code, user_code, _ = library.request_codes()
    decide(user_code, "deny")
    answer = library.poller(device_code, 1)()
    assert answer == "access_denied", answer


def expire(library):
    answer = library.poller(EXPIRED_CODE, 1)()
    assert answer == "expired_token", answer


def use(library, tokens):
    """Refreshes and revokes. Where the library can introspect, it sees both."""
    can_introspect = hasattr(library, "introspect")
    if can_introspect:
        found = library.introspect(tokens["access_token"])
        assert found["active"] and found["client_id"] == CLIENT and found["iss"] == ISSUER, found
        refused = library.introspect_as_device(tokens["access_token"])
        assert refused == "invalid_client", refused
    next_tokens = library.refresh(tokens["refresh_token"])
    assert next_tokens["refresh_token"] != tokens["refresh_token"]
    assert next_tokens["access_token"] != tokens["access_token"]
    library.revoke(next_tokens["refresh_token"])
    assert library.refresh(next_tokens["refresh_token"]) == "invalid_grant"
    if can_introspect:
        found = library.introspect(next_tokens["access_token"])
        assert found == {"active": False}, found


make = LIBRARIES[sys.argv[1]]
with ThreadPoolExecutor() as threads:
    runs = [threads.submit(run, make()) for run in (sign_in, sign_in_too_fast, be_denied, expire)]
    use(make(), runs[0].result())
    for run in runs:
        run.result()
print("the OAuth client is content")
