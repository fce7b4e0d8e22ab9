"""The pages: name, path, who looks at it, and where it shows only after a form was sent, that form."""

from dataclasses import dataclass
from functools import cached_property

from gateway import new_email, until

# A newcomer has nothing yet; a user has a device, a key, other sessions, credits and calls; a spender has few credits left.
# A subscriber pays for a plan, and has bought credits.
VIEWERS = VISITOR, NEWCOMER, USER, SPENDER, SUBSCRIBER, ADMIN = "visitor", "newcomer", "user", "spender", "subscriber", "admin"


@dataclass(frozen=True)
class Page:
    name: str
    # `{name}` is a value of the scene.
    path: str
    viewer: str = VISITOR
    # The fields of the page's form, which is sent.
    form: dict | None = None
    status: int = 200
    # The address is or may be a secret: no referrer.
    secret: bool = False
    # The service that makes the page.
    service: str = "auth"
    # The edge answers, in both languages at once, and with a policy that allows no form.
    of_edge: bool = False


PAGES = [
    Page("login", "/login"),
    Page("login-signed-out", "/login?done=signed_out"),
    Page("login-refused", "/login", form={"email": "{new_email}", "password": "wrong"}, status=401),
    Page("login-again", "/login?again=1&next=/auth/device", viewer=USER),
    Page("provider-not-signed-in", "/api/auth/oidc/mock/callback?state=x&code=y", status=400, secret=True),
    Page("register", "/register"),
    Page("register-refused", "/register", form={"email": "somchai", "password": "short"}, status=400),
    Page("verify", "/verify?token={verify_token}", secret=True),
    Page("verify-done", "/verify?token={new_verify_token}", form={}, secret=True),
    Page("verify-invalid", "/verify", status=400, secret=True),
    Page("reset", "/reset", secret=True),
    Page("reset-refused", "/reset", form={"email": ""}, status=400, secret=True),
    Page("reset-sent", "/reset?done=sent", secret=True),
    Page("reset-password", "/reset?token={reset_token}", secret=True),
    Page("reset-password-refused", "/reset?token={reset_token}", form={"new_password": "password"}, status=400, secret=True),
    Page("reset-done", "/reset?token={new_reset_token}", form={"new_password": "a few new words"}, secret=True),
    Page("device-code", "/auth/device", viewer=USER),
    Page("device-code-refused", "/auth/device", viewer=USER, form={"user_code": ""}, status=400),
    Page("device", "/auth/device?user_code={user_code}", viewer=USER),
    Page("device-connected", "/auth/device?done=approved", viewer=USER),
    Page("device-refused", "/auth/device?done=denied", viewer=USER),
    Page("dashboard-new", "/dashboard", service="ledger", viewer=NEWCOMER),
    Page("dashboard", "/dashboard", service="ledger", viewer=USER),
    Page("dashboard-low", "/dashboard?days=90", service="ledger", viewer=SPENDER),
    Page("transactions", "/transactions", service="ledger", viewer=USER),
    Page("transactions-none", "/transactions?q=nothing", service="ledger", viewer=USER),
    Page("transactions-refused", "/transactions?from=2026-11-21&to=2026-11-20", service="ledger", viewer=USER, status=400),
    Page("transaction", "/transactions/{call}", service="ledger", viewer=USER),
    Page("transaction-unknown", "/transactions/none", service="ledger", viewer=USER, status=404, secret=True),
    Page("limits", "/settings/limits", service="ledger", viewer=USER),
    Page("limits-saved", "/settings/limits?done=saved", service="ledger", viewer=SPENDER),
    Page("limits-refused", "/settings/limits", service="ledger", viewer=USER, form={"daily": "a lot"}, status=400),
    Page("buy", "/buy", service="billing", viewer=USER),
    Page("buy-amount", "/buy?credits=120", service="billing", viewer=USER),
    Page("buy-refused", "/buy?credits=9", service="billing", viewer=USER, status=400),
    Page("order-paid", "/buy/done?session_id={paid_order}", service="billing", viewer=SUBSCRIBER),
    Page("order-open", "/buy/done?session_id={open_order}", service="billing", viewer=SUBSCRIBER),
    Page("order-unknown", "/buy/done?session_id=cs_none", service="billing", viewer=USER, status=404, secret=True),
    Page("plans", "/plans", service="billing", viewer=USER),
    Page("plans-yearly", "/plans?interval=year", service="billing", viewer=USER),
    Page("plans-subscribed", "/plans", service="billing", viewer=SUBSCRIBER),
    Page("plan-upgrade", "/plans/change?plan=enterprise&interval=month", service="billing", viewer=SUBSCRIBER),
    Page("plan-cancel", "/plans/cancel", service="billing", viewer=SUBSCRIBER),
    Page("billing-none", "/billing", service="billing", viewer=USER),
    Page("billing", "/billing", service="billing", viewer=SUBSCRIBER),
    Page("settings", "/settings", viewer=USER),
    Page("settings-saved", "/settings?done=saved", viewer=NEWCOMER),
    Page("settings-refused", "/settings", viewer=USER, form={"full_name": "\x7f"}, status=400),
    Page("settings-email", "/settings/email", viewer=USER),
    Page("settings-email-refused", "/settings/email", viewer=USER, form={"email": "somchai"}, status=400),
    Page("sessions", "/settings/sessions", viewer=USER),
    Page("session-end", "/settings/sessions/{session}", viewer=USER),
    Page("sessions-end", "/settings/sessions/others", viewer=USER),
    Page("keys-none", "/settings/keys", viewer=NEWCOMER),
    Page("keys", "/settings/keys", viewer=USER),
    Page("key-new", "/settings/keys/new", viewer=USER),
    Page("key-new-refused", "/settings/keys/new", viewer=USER, form={"name": "", "limit": "all"}, status=400),
    Page("key-created", "/settings/keys/new", viewer=NEWCOMER, form={"name": "website"}),
    Page("key-end", "/settings/keys/{key}", viewer=USER),
    Page("sign-in", "/settings/password", viewer=USER),
    Page("sign-in-refused", "/settings/password", viewer=USER, form={"current_password": ""}, status=400),
    Page("form-out-of-date", "/settings", viewer=USER, form={"csrf_token": "x"}, status=403),
    Page("admin-users", "/admin/users", viewer=ADMIN),
    Page("admin-users-none", "/admin/users?q=none", viewer=ADMIN),
    Page("admin-user", "/admin/users/{user_id}", viewer=ADMIN),
    Page("admin-own", "/admin/users/{admin_id}", viewer=ADMIN),
    Page("admin-user-audit", "/admin/users/{user_id}/audit", viewer=ADMIN),
    Page("admin-user-deactivate", "/admin/users/{user_id}/deactivate", viewer=ADMIN),
    Page("admin-credits", "/admin/credits", service="ledger", viewer=ADMIN),
    Page("admin-credits-refused", "/admin/credits?q=somchai", service="ledger", viewer=ADMIN, status=400),
    Page("admin-account", "/admin/credits/{user_id}", service="ledger", viewer=ADMIN),
    Page("admin-transactions", "/admin/credits/{user_id}/transactions", service="ledger", viewer=ADMIN),
    Page("admin-transaction", "/admin/credits/{user_id}/transactions/{call}", service="ledger", viewer=ADMIN),
    Page("admin-adjust", "/admin/credits/{user_id}/adjust", service="ledger", viewer=ADMIN),
    Page("admin-adjust-refused", "/admin/credits/{user_id}/adjust", service="ledger", viewer=ADMIN, form={"amount": "0", "reason": ""}, status=400),
    Page("admin-adjust-asked", "/admin/credits/{user_id}/adjust", service="ledger", viewer=ADMIN, form={"amount": "12.5", "reason": "Goodwill"}),
    Page("admin-usage", "/admin/usage", service="ledger", viewer=ADMIN),
    Page("admin-catalogue", "/admin/catalogue", service="billing", viewer=ADMIN),
    Page("admin-plan", "/admin/catalogue/plans/pro", service="billing", viewer=ADMIN),
    Page("admin-package", "/admin/catalogue/packages/basic", service="billing", viewer=ADMIN),
    Page("admin-package-refused", "/admin/catalogue/packages/basic", service="billing", viewer=ADMIN, form={"credits": "0", "price_usd": "free"}, status=400),
    Page("admin-payments", "/admin/payments", service="billing", viewer=ADMIN),
    Page("admin-payments-dead", "/admin/payments?state=dead", service="billing", viewer=ADMIN),
    Page("admin-event", "/admin/payments/{event}", service="billing", viewer=ADMIN),
    Page("admin-refused", "/admin/users", viewer=USER, status=403, secret=True),
    Page("not-found", "/assets/auth/none", status=404, secret=True),
    Page("pricing", "/pricing", service="llm-proxy"),
    Page("pricing-filtered", "/pricing?q=fast", service="llm-proxy", viewer=USER),
    Page("pricing-refused", "/pricing?q=a&q=b", service="llm-proxy", status=400, secret=True),
    Page("edge-not-found", "/none", status=404, of_edge=True),
]


class Scene:
    """The accounts, links and codes that pages show. Each is made when a page asks for it."""

    visitor = None

    def __init__(self, gateway):
        self.gateway = gateway
        self.signed_in = {}

    def __getitem__(self, name):
        return getattr(self, name)

    def path(self, page):
        return page.path.format_map(self)

    def form(self, page):
        return {name: value.format_map(self) for name, value in page.form.items()}

    def cookies(self, viewer):
        """Returns the cookies of a viewer, who signs in once."""
        if viewer not in self.signed_in:
            account = self[viewer]
            self.signed_in[viewer] = self.gateway.sign_in(account) if account else {}
        return self.signed_in[viewer]

    @cached_property
    def newcomer(self):
        return self.gateway.register()

    @cached_property
    def user(self):
        account = self.gateway.register()
        self.gateway.make_key(account, "website")
        self.gateway.connect_device(account)
        self.gateway.adjust(account, "topup", 200, "Package of 200 credits")
        self.gateway.adjust(account, "bonus", 20, "Welcome", days=5)
        self.gateway.adjust(account, "topup", 70, "Package of 70 credits", days=30)
        self.gateway.adjust(account, "refund", 2.5, "A call that failed")
        for operation in ("conversations.sendMessage", "feedback.generateSuggestions", None):
            assert self.gateway.call(account.token, operation).status == 200
        self.gateway.set_limits(account, daily=50, monthly=400)
        until("the calls are charged", lambda: len(self.gateway.transactions(account, "type=usage")) == 3)
        return account

    @cached_property
    def spender(self):
        account = self.gateway.register()
        self.gateway.adjust(account, "topup", 2, "Package of 2 credits")
        assert self.gateway.call(account.token).status == 200
        self.gateway.set_limits(account, low_balance_level=50)
        until("the call is charged", lambda: len(self.gateway.transactions(account, "type=usage")) == 1)
        return account

    @cached_property
    def subscriber(self):
        account = self.gateway.register()
        self.gateway.subscribe(account, "pro")
        self.paid_order = self.gateway.check_out(account, "credits", credits_amount=100)
        self.gateway.pay(self.paid_order)
        self.open_order = self.gateway.check_out(account, "credits", credits_amount=250)
        until("the order is paid", lambda: self.gateway.order(account, self.paid_order)["status"] == "paid")
        return account

    @property
    def event(self):
        return self.gateway.events("state=done")[0]["id"]

    @property
    def call(self):
        return self.gateway.transactions(self.user, "type=usage")[0]["id"]

    @cached_property
    def admin(self):
        return self.gateway.admin()

    @property
    def user_id(self):
        return self.user.id

    @property
    def admin_id(self):
        return self.admin.id

    @cached_property
    def session(self):
        """A session of the user that is not the browser's."""
        return self.gateway.me(self.user)["auth"]["session_id"]

    @cached_property
    def key(self):
        return self.gateway.keys(self.user)[0]["id"]

    @property
    def new_email(self):
        return new_email()

    @property
    def new_verify_token(self):
        return self.gateway.mailed_token(self.gateway.register().email, "/verify")

    @property
    def new_reset_token(self):
        account = self.gateway.register()
        self.gateway.forgot(account)
        return self.gateway.mailed_token(account.email, "/reset")

    @cached_property
    def verify_token(self):
        return self.new_verify_token

    @cached_property
    def reset_token(self):
        return self.new_reset_token

    @cached_property
    def user_code(self):
        return self.gateway.request_codes()["user_code"]
