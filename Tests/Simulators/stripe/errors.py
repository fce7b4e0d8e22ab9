"""The errors of Stripe's API, with Stripe's own sentences."""


class StripeError(Exception):
    """An answer that is not 200. `details` are further members of the error object."""

    def __init__(self, status, kind, message, code=None, param=None, **details):
        super().__init__(message)
        self.status = status
        self.error = {"type": kind, "message": message}
        if code:
            self.error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
        if param:
            self.error["param"] = param
        self.error |= details

    def body(self):
        return {"error": self.error}


def invalid(message, param=None, code=None, status=400):
    return StripeError(status, "invalid_request_error", message, code, param)


def missing(name, identifier, param="id"):
    """An unknown id in the path is 404, one in a parameter 400."""
    words = name.replace(".", " ").replace("_", " ").replace("checkout session", "checkout.session")
    return invalid(f"No such {words}: '{identifier}'", param, "resource_missing", 404 if param == "id" else 400)


def unsupported(name):
    """Stripe has the parameter; the simulator would ignore it, so it refuses it."""
    return invalid(f"The simulator does not act on the parameter: {name}", name, "simulator_unsupported")
