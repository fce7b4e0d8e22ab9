"""The gateway as a program sees it: accounts, mails, devices and calls, by plain HTTP."""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass

PASSWORD = "correct horse battery staple"
CLIENT, DEVICE_NAME = "smartspec-cli", "Somchai's laptop"
# The name of a device's session.
DEVICE = f"SmartSpec command line · {DEVICE_NAME}"
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
CARD = "4242424242424242"
PROGRAM = "smartspec-cli/1.4 (Linux)"
# The network of accounts and devices. It is not the network of the browser, so that the limits of the browser's stay.
FOREIGN = {"x-forwarded-for": "203.0.113.7"}
OF_DEVICE = FOREIGN | {"user-agent": PROGRAM}


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class Account:
    id: str
    email: str
    password: str
    token: str


class Gateway:
    """A running stack, as its stack.json describes it."""

    def __init__(self, path, provider=None):
        with open(path, encoding="utf-8") as file:
            self.stack = json.load(file)
        self.provider = provider
        self.edge = self.stack["edge"]
        self.auth = self.stack["services"]["auth"]
        # The simulator of Stripe.
        self.payments = self.stack["stripe_simulator"]

    def send(self, method, url, body=None, headers=None, form=None, token=None):
        headers = {"user-agent": BROWSER} | (headers or {})
        data = None
        if body is not None:
            data, headers["content-type"] = json.dumps(body).encode(), "application/json"
        if form is not None:
            data, headers["content-type"] = urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded"
        if token:
            headers["authorization"] = f"Bearer {token}"
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def expect(self, status, method, url, **parts):
        answer = self.send(method, url, **parts)
        assert answer.status == status, f"{method} {url}: {answer.status} {answer.body[:500]!r}"
        return answer

    # Accounts

    def register(self, name="Somchai Jaidee", agent=BROWSER):
        email = new_email()
        body = {"email": email, "password": PASSWORD, "full_name": name}
        answer = self.expect(201, "POST", f"{self.auth}/api/auth/register", body=body, headers=FOREIGN | {"user-agent": agent}).json()
        return Account(answer["user"]["id"], email, PASSWORD, answer["access_token"])

    def admin(self):
        email, password = self.stack["admin"]["email"], self.stack["admin"]["password"]
        answer = self.expect(
            200, "POST", f"{self.auth}/api/auth/login", body={"email": email, "password": password}, headers=FOREIGN
        ).json()
        return Account(answer["user"]["id"], email, password, answer["access_token"])

    def get(self, account, path):
        """Reads something of an account. A change of the plan ends its access token: then it signs in again."""
        answer = self.send("GET", f"{self.edge}{path}", token=account.token)
        if answer.status == 401:
            body = {"email": account.email, "password": account.password}
            account.token = self.expect(200, "POST", f"{self.auth}/api/auth/login", body=body, headers=FOREIGN).json()["access_token"]
            answer = self.send("GET", f"{self.edge}{path}", token=account.token)
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.body[:500]!r}"
        return answer.json()

    def sign_in(self, account):
        """Sends the form of the sign-in page, and returns the cookies by name."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.edge).netloc, timeout=30)
        form = urllib.parse.urlencode({"email": account.email, "password": account.password})
        headers = {"content-type": "application/x-www-form-urlencoded", "origin": self.edge, "user-agent": BROWSER}
        connection.request("POST", "/login", body=form, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 303, f"sign-in: {answer.status}"
        pairs = (cookie.split(";")[0].partition("=") for cookie in answer.headers.get_all("set-cookie"))
        return {name: value for name, _, value in pairs}

    def me(self, account):
        return self.get(account, "/api/auth/me")

    def know_at_provider(self, email):
        """Makes the OpenID provider know a person."""
        claims = {"email": email, "email_verified": True, "name": "Somchai Jaidee"}
        self.expect(204, "PUT", f"{self.provider}/users/{urllib.parse.quote(email)}", body=claims)

    # Mails

    def mails(self, email):
        query = urllib.parse.urlencode({"to": email})
        return self.expect(200, "GET", f"{self.stack['mail_sink']}/messages?{query}").json()

    def mailed_link(self, email, path):
        """Returns the newest link to a page that the account was mailed, once it is there."""
        prefix = f"{self.edge}{path}?"

        def find():
            links = [link for mail in self.mails(email) for link in mail["links"] if link.startswith(prefix)]
            return links[-1] if links else None

        return until(f"a mail to {email} has a link to {path}", find)

    def mailed_token(self, email, path):
        return self.mailed_link(email, path).partition("?token=")[2]

    def forgot(self, account):
        """Asks for a mail by which the user chooses a new password."""
        self.expect(
            202, "POST", f"{self.auth}/api/auth/password/forgot", body={"email": account.email}, headers=FOREIGN
        )

    # Devices

    def request_codes(self, device_name=DEVICE_NAME):
        form = {"client_id": CLIENT, "scope": "llm credits", "device_name": device_name}
        return self.expect(200, "POST", f"{self.auth}/oauth/device_authorization", form=form, headers=OF_DEVICE).json()

    def poll(self, codes):
        """Polls once, and returns the tokens or the error code."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": codes["device_code"],
            "client_id": CLIENT,
        }
        answer = self.send("POST", f"{self.edge}/oauth/token", form=form, headers=OF_DEVICE).json()
        return answer.get("error") or answer

    def connect_device(self, account, device_name=DEVICE_NAME):
        codes = self.request_codes(device_name)
        body = {"user_code": codes["user_code"], "action": "approve"}
        self.expect(200, "POST", f"{self.edge}/api/auth/device/authorize", body=body, token=account.token)
        return self.poll(codes)

    # Keys and calls

    def make_key(self, account, name):
        self.expect(201, "POST", f"{self.edge}/api/keys", body={"name": name}, token=account.token)

    def keys(self, account):
        return self.expect(200, "GET", f"{self.edge}/api/keys", token=account.token).json()["data"]

    def call(self, credential, operation=None):
        body = {"model": "sim-fast", "messages": [{"role": "user", "content": "Say something."}]}
        headers = {"x-operation": operation} if operation else {}
        return self.send("POST", f"{self.edge}/v1/chat/completions", body=body, token=credential, headers=headers)

    # Credits

    def adjust(self, account, type, amount, reason, days=None):
        """Adjusts the credits of an account, as an administrator. They end after some days, if it says so."""
        body = {"user_id": account.id, "type": type, "amount": amount, "reason": reason, "idempotency_key": uuid.uuid4().hex}
        if days:
            body["expires_at"] = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() + days * 86_400))
        self.expect(201, "POST", f"{self.edge}/api/admin/credits/adjust", body=body, token=self.admin().token)

    def set_limits(self, account, **limits):
        self.expect(200, "PUT", f"{self.edge}/api/credits/limits", body=limits, token=account.token)

    def limits(self, account):
        return self.expect(200, "GET", f"{self.edge}/api/credits/limits", token=account.token).json()

    def transactions(self, account, query=""):
        """Returns the transactions of an account, the newest first."""
        return self.get(account, f"/api/credits/transactions?{query}")["transactions"]

    # Payments

    def stripe(self, method, path, form=None):
        """Calls the API of the simulator of Stripe as an operator."""
        return self.expect(200, method, f"{self.payments}{path}", form=form, token="sk_test_operator").json()

    def check_out(self, account, what, **order):
        """Orders something, and returns the id of the checkout session."""
        url = f"{self.edge}/api/payment/checkout/{what}"
        until("billing knows the account", lambda: self.send("POST", url, body=order, token=account.token).status == 200)
        return self.expect(200, "POST", url, body=order, token=account.token).json()["session_id"]

    def pay(self, session):
        answer = self.expect(200, "POST", f"{self.payments}/simulator/checkout/{session}/pay", body={"card": CARD}).json()
        assert answer["outcome"] == "succeeds", answer

    def subscribe(self, account, plan):
        session = self.check_out(account, "subscription", plan=plan)
        self.pay(session)
        until("the plan has come", lambda: self.subscription(account)["plan"] == plan and self.me(account)["plan"] == plan)
        return session

    def subscription(self, account):
        return self.get(account, "/api/payment/subscription")

    def order(self, account, session):
        return self.get(account, f"/api/payment/checkout/{session}")

    def events(self, query=""):
        """Returns the events of Stripe that billing has."""
        return self.expect(200, "GET", f"{self.edge}/api/admin/payments/events?{query}", token=self.admin().token).json()["events"]


def new_email():
    return f"somchai-{uuid.uuid4().hex[:8]}@example.com"


def until(what, find, within=30):
    """Asks again until there is an answer, for at most `within` seconds."""
    deadline = time.monotonic() + within
    while not (found := find()):
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.025)
    return found
