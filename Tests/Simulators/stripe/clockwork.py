"""Work that falls due at a time of the simulator's clock: renewals, retries, ends and expiries."""

import checkout
import payments
import subscriptions

EVENTS_MAX = 100_000
EVENT_SECONDS = 30 * 86_400  # Stripe's API shows events of the last 30 days

WORK = {
    "session_expires": lambda world, session, at: checkout.expire(world, session) if session["status"] == "open" else None,
    "renew": subscriptions.renew,
    "cancel_at": subscriptions.cancel_at_time,
    "finalize": lambda world, invoice, at: subscriptions.finalize_renewal(world, invoice),
    "retry": lambda world, invoice, at: subscriptions.retry_invoice(world, invoice),
    "pending_update": lambda world, subscription, at: expire_update(world, subscription, at),
    "pending_refund": lambda world, refund, at: payments.finish_refund(world, refund, True) if refund["status"] == "pending" else None,
    "failing_refund": lambda world, refund, at: payments.finish_refund(world, refund, False) if refund["status"] == "succeeded" else None,
    "card_dispute": lambda world, charge, at: payments.withdraw(world, payments.create_dispute(world, charge)),
    "card_inquiry": lambda world, charge, at: payments.create_dispute(world, charge, status="warning_needs_response"),
}


def expire_update(world, subscription, at):
    if subscription["pending_update"] and subscription["pending_update"]["expires_at"] == at:
        subscriptions.expire_pending_update(world, subscription)


def run_due(world):
    """Does what is due now, oldest first, each as a transaction of its own. Work that fails is not repeated."""
    with world.store.lock:
        while (at := world.store.next_due()) is not None and at <= world.now():
            try:
                with world.acting():
                    kind, identifier, at = world.store.take_due()
                    subject = world.get(identifier)
                    if subject:
                        WORK[kind](world, subject, at)
            except Exception:
                world.store.take_due()
                raise


def advance(world, seconds):
    """Moves the clock forward, and stops at each time at which something falls due."""
    with world.store.lock:
        target = world.now() + seconds
        while (at := world.store.next_due()) is not None and at <= target:
            world.store.advance_to(at)
            run_due(world)
        world.store.advance_to(target)
        prune(world)


def prune(world):
    """Deletes events that Stripe would not show any more, and what waits to be delivered of them."""
    with world.store.transaction():
        world.store.execute("DELETE FROM object WHERE kind = 'event' AND created < ?", world.now() - EVENT_SECONDS)
        world.store.execute(
            "DELETE FROM object WHERE kind = 'event'"
            " AND seq <= (SELECT seq FROM object WHERE kind = 'event' ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            EVENTS_MAX)
        world.store.execute("DELETE FROM delivery WHERE event NOT IN (SELECT id FROM object WHERE kind = 'event')")
