#!/usr/bin/env bash
# Prepares a Stripe account for SmartSpec Gateway, and prints the variables that billing needs.
#
#   STRIPE_SECRET_KEY=sk_test_... setup.sh WEBHOOK_URL [NAME=VALUE ...]
#
# It makes what is absent: two products, four recurring prices, the webhook endpoint and the configuration of
# the billing portal. Prices are found by their lookup keys, so a second run makes no second price. A price
# never changes; for another amount, move its lookup key to a new price in Stripe's dashboard.
#
# Stripe shows the secret of a webhook endpoint only when it makes it. So each run makes a new endpoint for
# WEBHOOK_URL and then deletes the earlier ones of the same address. Give billing the new STRIPE_WEBHOOK_SECRET.
#
# Options, in the smallest unit of the currency; a yearly price is 10 % below twelve months by default:
#   pro_monthly=2900 pro_yearly=31320 enterprise_monthly=19900 enterprise_yearly=214920 currency=usd
#
# STRIPE_SECRET_KEY   required; read from the environment only, and never an argument of a program
# STRIPE_API_BASE     https://api.stripe.com; http:// is for a simulator on this machine
set -euo pipefail
shopt -s inherit_errexit

API_VERSION=2026-08-26.dahlia
API_BASE=${STRIPE_API_BASE:-https://api.stripe.com}
PORTAL_MARK=smartspec-gateway # the metadata by which a later run finds the configuration

EVENTS=(
    checkout.session.completed checkout.session.async_payment_succeeded checkout.session.async_payment_failed checkout.session.expired
    customer.subscription.created customer.subscription.updated customer.subscription.deleted
    customer.subscription.paused customer.subscription.resumed customer.subscription.trial_will_end
    customer.subscription.pending_update_applied customer.subscription.pending_update_expired
    invoice.paid invoice.payment_failed invoice.payment_action_required invoice.finalization_failed invoice.voided
    invoice.marked_uncollectible
    payment_intent.succeeded
    refund.created refund.updated refund.failed charge.refunded
    charge.dispute.created charge.dispute.updated charge.dispute.closed
    charge.dispute.funds_withdrawn charge.dispute.funds_reinstated
    radar.early_fraud_warning.created customer.deleted
)

declare -A AMOUNTS=([pro_monthly]=2900 [enterprise_monthly]=19900)
CURRENCY=usd

main() {
    [[ $# -gt 0 ]] || fail "usage: STRIPE_SECRET_KEY=... setup.sh WEBHOOK_URL [pro_monthly=2900 ...]"
    local webhook_url=$1
    shift
    read_options "$@"
    check_environment
    local key prices lines=() id
    prices=$(api GET "/v1/prices?active=true&limit=100&lookup_keys[]=pro_monthly&lookup_keys[]=pro_yearly&lookup_keys[]=enterprise_monthly&lookup_keys[]=enterprise_yearly")
    for key in pro_monthly pro_yearly enterprise_monthly enterprise_yearly; do
        id=$(price "$key" "$prices")
        lines+=("STRIPE_PRICE_${key^^}=$id")
    done
    id=$(portal_configuration)
    lines+=("STRIPE_PORTAL_CONFIGURATION=$id")
    id=$(webhook_secret "$webhook_url")
    printf '%s\n' "${lines[@]}" "STRIPE_WEBHOOK_SECRET=$id"
}

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

say() { printf 'setup: %s\n' "$*" >&2; }

read_options() {
    local option name value
    for option in "$@"; do
        name=${option%%=*} value=${option#*=}
        case $name in
        pro_monthly | pro_yearly | enterprise_monthly | enterprise_yearly)
            [[ $value =~ ^[1-9][0-9]{0,7}$ ]] || fail "$name must be a whole number of the smallest unit, as 2900 for 29 USD"
            AMOUNTS[$name]=$value
            ;;
        currency)
            [[ $value =~ ^[a-z]{3}$ ]] || fail "currency must be three small letters, as usd"
            CURRENCY=$value
            ;;
        *) fail "unknown option: $option" ;;
        esac
    done
    local plan
    for plan in pro enterprise; do
        : "${AMOUNTS[${plan}_yearly]:=$((AMOUNTS[${plan}_monthly] * 12 * 9 / 10))}"
    done
}

check_environment() {
    [[ ${STRIPE_SECRET_KEY:-} =~ ^(sk|rk)_(test|live)_[A-Za-z0-9_]+$ ]] || fail "STRIPE_SECRET_KEY must be a secret or restricted key, as sk_test_..."
    [[ $API_BASE =~ ^https:// || $API_BASE =~ ^http://(127\.0\.0\.1|localhost)(:[0-9]+)?$ ]] || fail "STRIPE_API_BASE must begin with https://"
    local program
    for program in curl python3; do
        command -v "$program" >/dev/null || fail "$program is missing"
    done
}

# api METHOD PATH [NAME=VALUE ...]: prints the answer. Key and parameters go to curl by its standard input.
api() {
    local method=$1 path=$2 pair answer status
    shift 2
    answer=$({
        printf 'header = "Authorization: Bearer %s"\n' "$STRIPE_SECRET_KEY"
        printf 'header = "Stripe-Version: %s"\n' "$API_VERSION"
        printf 'url = "%s"\nrequest = "%s"\n' "$API_BASE$path" "$method"
        for pair in "$@"; do
            pair=${pair//\\/\\\\}
            printf 'data-urlencode = "%s"\n' "${pair//\"/\\\"}"
        done
    } | curl --config - --silent --show-error --globoff --connect-timeout 5 --max-time 60 --write-out '\n%{http_code}') ||
        fail "$API_BASE cannot be reached"
    status=${answer##*$'\n'} answer=${answer%$'\n'*}
    [[ $status == 200 ]] || fail "$method ${path%%\?*}: $status $(members 'error.message' <<<"$answer")"
    printf '%s\n' "$answer"
}

# members PATH [PATH ...]: prints members of the JSON on standard input, one object of its `data` in a line.
members() {
    python3 -c '
import json, sys

def value(found, path):
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return "" if found is None else str(found)

try:
    answer = json.load(sys.stdin)
except ValueError:
    sys.exit(1)
for one in answer["data"] if answer.get("object") == "list" else [answer]:
    print("\t".join(value(one, path) for path in sys.argv[1:]))
' "$@"
}

# price KEY PRICES: prints the id of the price with this lookup key, which it makes if PRICES has none.
price() {
    local key=$1 plan=${1%_*} interval=month known id found currency amount product
    if [[ $key == *_yearly ]]; then interval=year; fi
    known=$(members id lookup_key currency unit_amount <<<"$2")
    while IFS=$'\t' read -r id found currency amount; do
        [[ $found == "$key" ]] || continue
        [[ $currency == "$CURRENCY" && $amount == "${AMOUNTS[$key]}" ]] ||
            say "the price $key stays at $amount $currency; this run asked for ${AMOUNTS[$key]} $CURRENCY"
        printf '%s\n' "$id"
        return
    done <<<"$known"
    product=$(product "$plan")
    say "making the price $key"
    api POST /v1/prices "product=$product" "currency=$CURRENCY" "unit_amount=${AMOUNTS[$key]}" \
        "recurring[interval]=$interval" "lookup_key=$key" | members id
}

# product PLAN: prints the id of the product of a plan, which it makes if it is absent.
product() {
    local id=smartspec_$1 found name=${1^}
    found=$(api GET "/v1/products?ids[]=$id" | members id)
    if [[ -z $found ]]; then
        say "making the product $name"
        found=$(api POST /v1/products "id=$id" "name=$name" | members id)
    fi
    printf '%s\n' "$found"
}

# webhook_secret URL: makes the endpoint, deletes earlier ones of the same address, and prints the new secret.
webhook_secret() {
    local id url old made secret event parameters=("url=$1" "api_version=$API_VERSION")
    for event in "${EVENTS[@]}"; do parameters+=("enabled_events[]=$event"); done
    old=$(api GET "/v1/webhook_endpoints?limit=100" | members id url)
    made=$(api POST /v1/webhook_endpoints "${parameters[@]}" | members id secret)
    secret=${made#*$'\t'}
    while IFS=$'\t' read -r id url; do
        [[ $url == "$1" ]] || continue
        say "deleting the earlier webhook endpoint $id"
        api DELETE "/v1/webhook_endpoints/$id" >/dev/null
    done <<<"$old"
    printf '%s\n' "$secret"
}

# portal_configuration: makes the configuration, or brings the one of an earlier run up to date.
portal_configuration() {
    local known id mark found=
    local features=(
        "features[payment_method_update][enabled]=true" "features[invoice_history][enabled]=true"
        "features[subscription_cancel][enabled]=true" "features[subscription_cancel][mode]=at_period_end"
        "features[subscription_update][enabled]=false" "metadata[made_by]=$PORTAL_MARK"
    )
    known=$(api GET "/v1/billing_portal/configurations?active=true&limit=100" | members id metadata.made_by)
    while IFS=$'\t' read -r id mark; do
        if [[ $mark == "$PORTAL_MARK" ]]; then found=/$id; fi
    done <<<"$known"
    api POST "/v1/billing_portal/configurations$found" "${features[@]}" | members id
}

main "$@"
