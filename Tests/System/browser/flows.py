"""Flows through the pages by keyboard only. Each runs with scripts, and once more without."""

import re
from urllib.parse import quote

from chromium import Person, expect
from gateway import CARD, DEVICE, PASSWORD, new_email, until

NEW_PASSWORD = "a brighter horse staple"


def sign_in(person, email, password=PASSWORD):
    person.sees("Sign in")
    person.fill("Email", email)
    person.fill("Password", password)
    person.enter()


def at_device_page(person, account):
    """Signs in by way of the device page, which leads to the sign-in and back."""
    person.open("/auth/device")
    sign_in(person, account.email)
    person.sees("Connect a device")


def signing_in_sets_cookies_and_leads_back_to_the_page(gateway, person):
    at_device_page(person, gateway.register())
    cookies = {cookie["name"]: cookie for cookie in person.context.cookies()}
    assert cookies["session"]["value"].startswith("sss_"), cookies
    for cookie in cookies.values():
        facts = {name: cookie[name] for name in ("path", "httpOnly", "sameSite", "secure")}
        # PUBLIC_URL of a local stack is http, so the cookie is not for https only.
        assert facts == {"path": "/", "httpOnly": True, "sameSite": "Lax", "secure": False}, cookie


def a_wrong_password_keeps_the_input_and_moves_the_focus(gateway, person):
    account = gateway.register()
    person.open("/auth/device")
    sign_in(person, account.email, "not the password")
    summary = person.page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(person.page.get_by_label("Email", exact=True)).to_have_value(account.email)
    field = person.page.get_by_label("Password", exact=True)
    expect(field).to_have_value("")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("Email or password is wrong. You can try again now.")
    # The summary's link leads to the field.
    person.press("link", "Email or password is wrong. You can try again now.")
    expect(field).to_be_focused()
    person.page.keyboard.type(account.password)
    person.enter()
    person.sees("Connect a device")


def an_empty_form_names_each_field(gateway, person):
    person.open("/login")
    person.press("button", "Sign in")
    summary = person.page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary.get_by_role("link")).to_have_text(["Enter your email address.", "Enter your password."])


def a_new_account_is_registered_and_its_address_confirmed(gateway, person):
    email = new_email()
    person.open("/auth/device")
    person.sees("Sign in")
    person.press("link", "Create an account")
    person.sees("Create an account")
    person.fill("Name (optional)", "Somchai Jaidee")
    person.fill("Email", email)
    person.fill("Password", "short")
    person.enter()
    expect(person.page.get_by_role("alert")).to_be_focused()
    expect(person.page.get_by_label("Name (optional)")).to_have_value("Somchai Jaidee")
    expect(person.page.get_by_label("Email", exact=True)).to_have_value(email)
    person.fill("Password", PASSWORD)
    person.press("button", "Create account", key="Space")
    person.sees("Connect a device")
    person.open(gateway.mailed_link(email, "/verify"))
    person.sees("Confirm your email address")
    person.press("button", "Confirm")
    person.sees("Your email address is confirmed")
    person.open(gateway.mailed_link(email, "/verify"))
    person.sees("This link is not valid")


def a_forgotten_password_is_replaced(gateway, person):
    account = gateway.register()
    person.open("/login")
    person.press("link", "Forgot password?")
    person.sees("Forgot your password?")
    person.fill("Email", account.email)
    person.enter()
    person.sees("Check your email")
    person.open(gateway.mailed_link(account.email, "/reset"))
    person.sees("Choose a new password")
    person.fill("New password", NEW_PASSWORD)
    person.press("button", "Change password")
    person.sees("Your password is changed")
    person.open("/auth/device")
    sign_in(person, account.email)
    expect(person.page.get_by_role("alert")).to_be_focused()
    person.fill("Password", NEW_PASSWORD)
    person.enter()
    person.sees("Connect a device")


def a_device_is_connected_by_its_code(gateway, person):
    at_device_page(person, gateway.register())
    person.fill("Code", "WRNGCODE")
    person.enter()
    expect(person.page.get_by_role("alert")).to_be_focused()
    codes = gateway.request_codes()
    other = person.another_tab()
    other.open(codes["verification_uri_complete"])
    other.sees("Connect this device?")
    person.fill("Code", f"{codes['user_code'][:4].lower()}-{codes['user_code'][4:]}")
    person.enter()
    person.sees("Connect this device?")
    person.press("button", "Connect")
    person.sees("The device is connected")
    other.press("button", "This is not me")
    other.sees("You already answered this request")
    assert set(gateway.poll(codes)["scope"].split()) == {"llm", "credits"}


def a_device_is_refused(gateway, person):
    at_device_page(person, gateway.register())
    codes = gateway.request_codes()
    person.open(codes["verification_uri_complete"])
    person.sees("Connect this device?")
    person.press("button", "This is not me", key="Space")
    person.sees("The device is refused")
    assert gateway.poll(codes) == "access_denied"


def signing_out_ends_the_session(gateway, person):
    at_device_page(person, gateway.register())
    person.press("button", "Sign out")
    person.reads("You are signed out.")
    person.open("/auth/device")
    person.sees("Sign in")


def the_footer_switches_the_language(gateway, person):
    person.open("/login")
    person.press("button", "ภาษาไทย")
    person.sees("เข้าสู่ระบบ")
    expect(person.page.locator("html")).to_have_attribute("lang", "th")
    person.press("button", "English")
    person.sees("Sign in")


def the_footer_switches_the_language_of_a_link_of_a_mail(gateway, person):
    account = gateway.register()
    at_device_page(person, account)
    person.open(gateway.mailed_link(account.email, "/verify"))
    person.sees("Confirm your email address")
    person.press("button", "ภาษาไทย")
    person.sees("ยืนยันที่อยู่อีเมลของคุณ")
    person.press("button", "ยืนยัน")
    person.sees("ยืนยันที่อยู่อีเมลเรียบร้อยแล้ว")


def a_form_of_an_older_sign_in_is_sent_again(gateway, person):
    account = gateway.register()
    at_settings(person, account)
    other = person.another_tab()
    other.open("/login?again=1&next=/settings")
    other.sees("Sign in again")
    other.fill("Email", account.email)
    other.fill("Password", account.password)
    other.enter()
    other.sees("Profile")
    person.fill("Name (optional)", "Somchai J.")
    person.press("button", "Save")
    person.sees("This form is out of date")
    person.press("button", "Send the form again")
    person.reads("Your profile is saved.")
    assert gateway.me(account)["full_name"] == "Somchai J."


def the_language_of_a_user_follows_the_account(gateway, person):
    account = gateway.register()
    at_device_page(person, account)
    person.press("button", "ภาษาไทย")
    person.sees("เชื่อมต่ออุปกรณ์")
    assert gateway.me(account)["locale"] == "th"


def at_settings(person, account):
    person.open("/settings")
    sign_in(person, account.email)
    person.sees("Profile")


def a_profile_is_changed(gateway, person):
    account = gateway.register()
    at_settings(person, account)
    person.fill("Name (optional)", "Somchai J.")
    person.choose("Time zone", "Bangkok")
    person.tick("Mail me when my credits run low")
    person.press("button", "Save")
    person.reads("Your profile is saved.")
    me = gateway.me(account)
    facts = {name: me[name] for name in ("full_name", "time_zone", "low_balance_mail")}
    assert facts == {"full_name": "Somchai J.", "time_zone": "Asia/Bangkok", "low_balance_mail": False}, facts


def an_address_is_changed(gateway, person):
    account, email = gateway.register(), new_email()
    at_settings(person, account)
    person.press("link", "Change the address")
    person.sees("Change the address")
    person.fill("New address", email)
    person.fill("Password", PASSWORD)
    person.enter()
    person.sees("Profile")
    person.open(gateway.mailed_link(email, "/verify"))
    person.press("button", "Confirm")
    person.sees("Your email address is confirmed")
    assert gateway.me(account)["email"] == email


def a_password_is_changed(gateway, person):
    account = gateway.register()
    at_settings(person, account)
    person.press("link", "Sign-in")
    person.sees("Sign-in")
    person.fill("Current password", "not the password")
    person.fill("New password", NEW_PASSWORD)
    person.enter()
    expect(person.page.get_by_role("alert")).to_be_focused()
    person.fill("Current password", PASSWORD)
    person.fill("New password", NEW_PASSWORD)
    person.enter()
    person.reads("Your password is changed. All other sessions have ended; this browser stays signed in.")


def a_key_is_revoked(gateway, person):
    account = gateway.register()
    gateway.make_key(account, "website")
    at_settings(person, account)
    person.press("link", "API keys")
    person.press("link", "Revoke: website")
    person.sees("Revoke this key?")
    person.press("link", "Cancel")
    person.press("link", "Revoke: website")
    person.press("button", "Revoke this key", key="Space")
    person.reads("The key is revoked.")
    person.reads("You have no API key yet. Create one to call models from your own programs.")


def an_administrator_deactivates_a_user(gateway, person):
    account, admin = gateway.register(), gateway.admin()
    person.open("/admin/users")
    sign_in(person, admin.email, admin.password)
    person.sees("Users")
    person.fill("Search", account.email)
    person.enter()
    person.press("link", account.email)
    person.sees(account.email)
    person.press("link", "Deactivate")
    person.sees("Deactivate this account?")
    person.press("button", "Deactivate")
    person.sees(account.email)
    assert gateway.send("GET", f"{gateway.auth}/api/auth/me", token=account.token).status in (401, 403)


def a_user_finds_what_a_call_cost(gateway, person):
    account = gateway.register()
    gateway.adjust(account, "topup", 5, "Package of 5 credits")
    assert gateway.call(account.token, "chat").status == 200
    until("the call is charged", lambda: gateway.transactions(account, "type=usage"))
    person.open("/")
    sign_in(person, account.email)
    person.sees("Dashboard")
    person.press("link", "All transactions")
    person.sees("Transactions")
    person.fill("Search", "chat")
    person.enter()
    link = person.page.locator("tbody a")
    expect(link).to_have_count(1)
    person.press("link", link.inner_text())
    person.sees("Transaction")
    person.reads("completed")
    person.press("link", "All transactions")
    person.fill("Search", "nothing")
    person.enter()
    person.reads("No transaction matches.")
    person.press("link", "Show all transactions")
    expect(person.page.locator("tbody a")).not_to_have_count(1)


def the_chart_is_also_a_table(gateway, person):
    account = gateway.register()
    gateway.adjust(account, "topup", 5, "Package of 5 credits")
    assert gateway.call(account.token).status == 200
    until("the call is charged", lambda: gateway.transactions(account, "type=usage"))
    person.open("/dashboard")
    sign_in(person, account.email)
    person.sees("Dashboard")
    summary = person.page.locator("summary")
    person.tab_to(summary)
    person.page.keyboard.press("Enter")
    expect(person.page.locator("details tbody tr")).to_have_count(30)
    expect(person.page.locator("details tbody tr").first).to_be_visible()
    person.press("link", "90 days")
    expect(person.page.locator("details tbody tr")).to_have_count(90)


def a_user_limits_its_spending(gateway, person):
    account = gateway.register()
    person.open("/settings/limits")
    sign_in(person, account.email)
    person.sees("Limits")
    person.fill("Credits a day, at most (optional)", "all")
    person.enter()
    expect(person.page.get_by_role("alert")).to_be_focused()
    expect(person.page.get_by_label("Credits a day, at most (optional)")).to_have_value("all")
    person.fill("Credits a day, at most (optional)", "2.5")
    person.fill("Warn me at (optional)", "1000")
    person.enter()
    person.reads("Your limits are saved.")
    limits = gateway.limits(account)
    assert (limits["daily"], limits["monthly"], limits["low_balance_level"]) == (2.5, None, 1000), limits


def a_low_balance_is_said_on_the_pages_of_every_service(gateway, person):
    account = gateway.register()
    gateway.adjust(account, "topup", 5, "Package of 5 credits")
    gateway.set_limits(account, low_balance_level=100)
    at_settings(person, account)
    warning = "Your credits have reached your alert level of 100 credits."
    person.reads(warning)
    person.press("link", "Buy credits")
    person.sees("Buy credits")
    person.reads(warning)
    person.press("link", "Prices")
    person.sees("Prices")
    person.reads(warning)


def a_visitor_reads_what_a_model_costs(gateway, person):
    person.open("/login")
    person.press("link", "Prices")
    person.sees("Prices")
    person.fill("Name of the model", "sim-fast")
    person.enter()
    person.page.wait_for_url("**/pricing?q=sim-fast")
    person.reads("sim-fast")
    person.reads("0.02875")
    expect(person.page.get_by_text("sim-long", exact=True)).to_have_count(0)
    person.press("link", "Show all models")
    person.page.wait_for_url("**/pricing")
    person.reads("sim-long")
    person.press("link", "See the next table")
    expect(person.page.locator("tr:has(:target)")).to_contain_text("A complete answer")


def an_administrator_adjusts_credits(gateway, person):
    account, admin = gateway.register(), gateway.admin()
    person.open("/admin/credits")
    sign_in(person, admin.email, admin.password)
    person.sees("Credits")
    person.fill("User id", account.id)
    person.enter()
    person.sees("Account")
    person.press("link", "Adjust credits")
    person.sees("Adjust credits")
    person.choose("Type", "Bonus")
    person.fill("Credits", "12.5")
    person.fill("Reason", "Goodwill")
    person.enter()
    person.sees("Adjust the credits of this user?")
    person.reads("+12.50 credits")
    person.press("button", "Change")
    person.sees("Adjust credits")
    person.fill("Credits", "7.25")
    person.enter()
    person.sees("Adjust the credits of this user?")
    person.press("button", "Adjust credits")
    person.reads("The credits are adjusted.")
    assert [line["amount"] for line in gateway.transactions(account, "type=bonus")] == [7.25]


def at_checkout(person, button):
    """Pays on the page of the simulator of Stripe."""
    person.reads("Pay with a card")
    person.fill("Card number", CARD)
    person.fill("Expiry", "12 / 40")
    person.fill("CVC", "123")
    person.press("button", button)


def credits_are_bought_a_plan_begins_changes_and_ends_and_all_stands_in_the_history(gateway, person):
    account = gateway.register()
    until("the free credits are there", lambda: gateway.transactions(account))
    person.open("/buy")
    sign_in(person, account.email)
    person.sees("Buy credits")
    person.press("button", "Buy for $9: Basic")
    at_checkout(person, "Pay $9.00")
    person.sees("105 credits were added")
    expect(person.page.locator(".pill .amount")).to_have_text("115 credits")
    bought = {line["type"]: line["amount"] for line in gateway.transactions(account)}
    assert (bought["purchase"], bought["bonus"]) == (100, 5), bought

    person.press("link", "Plans")
    person.sees("Plans")
    person.press("button", "Subscribe: Pro")
    at_checkout(person, "Subscribe")
    person.sees("Your plan is Pro")
    expect(person.page.locator(".pill .amount")).to_have_text("615 credits")

    person.press("link", "Plans")
    person.sees("Plans")
    person.press("link", "Upgrade: Enterprise")
    person.sees("Upgrade to Enterprise?")
    act = person.page.get_by_role("button", name="Upgrade for")
    person.press("button", act.inner_text())
    person.reads("Your plan is changed.")
    until("the credits of the upgrade are there", lambda: len(gateway.transactions(account, "type=plan_grant")) == 3)

    person.press("link", person.page.get_by_role("link", name="Cancel on").inner_text() + ": Enterprise")
    person.sees("Cancel Enterprise?")
    person.press("button", "Cancel the plan", key="Space")
    person.sees("Plans")
    person.press("button", "Keep the plan: Enterprise")
    person.reads("Your plan goes on.")

    person.press("link", "Billing")
    person.sees("Billing")
    # The number of an invoice is random, and may contain any word.
    expect(person.page.get_by_role("link", name=re.compile("^PDF: "))).to_have_count(2)
    person.press("button", "Manage cards and payment details")
    person.sees("Your billing")
    person.press("link", "← Back")
    person.sees("Billing")

    payment = gateway.stripe("GET", f"/v1/checkout/sessions?customer={customer_of(gateway, account)}")["data"]
    intent = next(session["payment_intent"] for session in payment if session["mode"] == "payment")
    gateway.stripe("POST", "/v1/refunds", form={"payment_intent": intent})
    until("the refund is there", lambda: len(gateway.transactions(account, "type=refund") + gateway.transactions(account, "type=clawback")) == 2)
    person.press("link", "All transactions")
    person.sees("Transactions")
    lines = gateway.transactions(account)
    expect(person.page.locator("tbody tr")).to_have_count(len(lines))
    for text in ("Basic package: 100 credits", "Basic package: bonus", "Pro plan", "Enterprise plan"):
        expect(person.page.locator("tbody").get_by_text(text, exact=True).first).to_be_visible()


def customer_of(gateway, account):
    customers = gateway.stripe("GET", f"/v1/customers?email={quote(account.email)}")["data"]
    assert len(customers) == 1, customers
    return customers[0]["id"]


def an_amount_of_ones_own_is_bought_and_a_wrong_one_named(gateway, person):
    account = gateway.register()
    until("the free credits are there", lambda: gateway.transactions(account))
    person.open("/buy")
    sign_in(person, account.email)
    person.sees("Buy credits")
    person.fill("Credits", "a lot")
    person.enter()
    expect(person.page.get_by_role("alert")).to_be_focused()
    expect(person.page.get_by_label("Credits", exact=True)).to_have_value("a lot")
    person.fill("Credits", "120")
    # A script shows the price while the person types.
    if not person.scripts:
        person.enter()
    person.reads("120 credits: $10.80")
    if person.scripts:
        person.page.keyboard.type("0")
        person.reads("1,200 credits: $72")
        person.page.keyboard.press("Backspace")
        person.reads("120 credits: $10.80")
    person.press("button", "Buy for $10.80")
    at_checkout(person, "Pay $10.80")
    person.sees("120 credits were added")


def an_administrator_edits_a_package_and_reads_an_event(gateway, person):
    admin = gateway.admin()
    gateway.subscribe(gateway.register(), "pro")
    person.open("/admin/catalogue")
    sign_in(person, admin.email, admin.password)
    person.sees("Catalogue")
    person.press("link", "Edit: Starter")
    person.sees("Edit the package Starter")
    person.fill("Price in US dollars", "free")
    person.enter()
    expect(person.page.get_by_role("alert")).to_be_focused()
    person.fill("Price in US dollars", "5")
    person.enter()
    person.reads("The change is saved.")
    person.press("link", "Payments")
    person.sees("Payments")
    person.choose("State", "done")
    person.press("button", "Show")
    link = person.page.locator("tbody a").first
    person.tab_to(link)
    person.enter()
    person.sees("Event")
    person.press("button", "Replay")
    person.reads("The event is worked on again.")


def at_provider(person, email):
    """Signs in at the OpenID provider, whose field has the focus."""
    person.sees("Authorize Client")
    person.page.keyboard.type(email)
    person.enter()


def texts_of_another_person_stay_texts(gateway, person):
    """On every page that shows what another person, or a program of another person, wrote."""
    beginning = '"><script>alert(1)<'
    hostile = f"{beginning}/script><img src=x onerror=alert(1)>"
    admin, account = gateway.admin(), gateway.register(name=hostile, agent=hostile)
    gateway.make_key(account, hostile)
    gateway.connect_device(account, hostile)
    person.open("/admin/users")
    sign_in(person, admin.email, admin.password)
    person.sees("Users")
    user = f"/admin/users/{account.id}"
    pages = [f"/admin/users?q={account.email}", f"/admin/users?q={quote(hostile)}", user, f"{user}/audit"]
    pages += [f"{user}/{act}" for act in ("deactivate", "make-admin", "end-sessions")]
    for path in [*pages, gateway.request_codes(hostile)["verification_uri_complete"]]:
        person.open(path)
        expect(person.page.locator("main")).to_contain_text(beginning)
        expect(person.page.locator("img, script:not([src]), [onerror]")).to_have_count(0)


def a_person_signs_in_by_a_provider(gateway, person):
    email = new_email()
    gateway.know_at_provider(email)
    person.open("/login")
    person.press("link", "Continue with Mock")
    at_provider(person, email)
    person.sees("Dashboard")
    person.press("link", "Settings")
    person.sees("Profile")
    person.reads(email)


def a_provider_is_connected_and_disconnected(gateway, person):
    email = new_email()
    gateway.know_at_provider(email)
    at_settings(person, gateway.register())
    person.press("link", "Sign-in")
    person.press("link", "Connect: Mock")
    at_provider(person, email)
    person.sees("Connect Mock?")
    person.press("button", "Connect")
    person.sees("Sign-in")
    person.reads("The account is connected. You can sign in with it from now on.")
    person.press("link", f"Disconnect: Mock {email}")
    person.sees("Disconnect Mock?")
    person.reads(f"You can then no longer sign in to SmartSpec with Mock ({email}).")
    person.press("button", "Disconnect")
    person.sees("Sign-in")
    person.reads("The account is disconnected. You can no longer sign in with it.")


def the_first_day(gateway, person):
    """From the registration to a call by an API key, and to a device that is connected and ended."""
    email = new_email()
    person.open("/")
    person.press("link", "Create an account")
    person.sees("Create an account")
    person.fill("Email", email)
    person.fill("Password", PASSWORD)
    person.enter()
    person.sees("Dashboard")
    person.reads("You have no credits yet. The free credits arrive when you confirm your email address.")
    balance = person.page.locator(".pill .amount")
    expect(balance).to_have_text("0 credits")
    person.open(gateway.mailed_link(email, "/verify"))
    person.press("button", "Confirm")
    person.sees("Your email address is confirmed")
    person.press("link", "Continue")
    person.sees("Dashboard")
    until("the free credits are there", lambda: person.page.reload() and balance.inner_text() == "10 credits")

    person.press("link", "Create a key")
    person.sees("API keys")
    person.press("link", "Create a key")
    person.sees("Create a key")
    person.fill("Name", "website")
    person.enter()
    person.sees("Your new key")
    key = person.page.locator(".code-display code").first.inner_text()
    answer = gateway.call(key)
    assert answer.status == 200 and float(answer.headers["x-credits-used"]) > 0, answer

    codes = gateway.request_codes()
    person.open(codes["verification_uri"])
    person.fill("Code", codes["user_code"])
    person.enter()
    person.sees("Connect this device?")
    person.press("button", "Connect")
    person.sees("The device is connected")
    device = gateway.poll(codes)["access_token"]
    assert gateway.call(device).status == 200
    person.press("link", "See my sessions")
    person.sees("Sessions")
    person.press("link", f"End session: {DEVICE}")
    person.sees("End this session?")
    person.press("button", "End session")
    person.reads("The session has ended.")
    # The proxies hear of it by the broker.
    until("a call of the device is refused", lambda: gateway.call(device).status == 401)
    assert gateway.call(key).status == 200


FLOWS = [
    signing_in_sets_cookies_and_leads_back_to_the_page,
    a_wrong_password_keeps_the_input_and_moves_the_focus,
    an_empty_form_names_each_field,
    a_new_account_is_registered_and_its_address_confirmed,
    a_forgotten_password_is_replaced,
    a_device_is_connected_by_its_code,
    a_device_is_refused,
    signing_out_ends_the_session,
    the_footer_switches_the_language,
    the_footer_switches_the_language_of_a_link_of_a_mail,
    the_language_of_a_user_follows_the_account,
    a_form_of_an_older_sign_in_is_sent_again,
    a_profile_is_changed,
    an_address_is_changed,
    a_password_is_changed,
    a_key_is_revoked,
    an_administrator_deactivates_a_user,
    texts_of_another_person_stay_texts,
    a_user_finds_what_a_call_cost,
    the_chart_is_also_a_table,
    a_user_limits_its_spending,
    a_low_balance_is_said_on_the_pages_of_every_service,
    a_visitor_reads_what_a_model_costs,
    an_administrator_adjusts_credits,
    credits_are_bought_a_plan_begins_changes_and_ends_and_all_stands_in_the_history,
    an_amount_of_ones_own_is_bought_and_a_wrong_one_named,
    an_administrator_edits_a_package_and_reads_an_event,
    a_person_signs_in_by_a_provider,
    a_provider_is_connected_and_disconnected,
]


def run(gateway, browser, report, flows=FLOWS, scripts=True):
    for flow in flows:
        person = Person(browser, gateway.edge, scripts=scripts)
        with report.case(flow.__name__.replace("_", " ")):
            flow(gateway, person)
            person.console.expect_silence()
        person.context.close()
