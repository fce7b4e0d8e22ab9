#!/usr/bin/python3 -I
"""A mail server for tests and for the local stack: takes every message by SMTP, and shows it by HTTP.

Both listen on 127.0.0.1 only. When they do, one line on standard output names the ports.

GET /messages?to=<address>  200 and [{"to", "subject", "text", "links"}], oldest first; without `to` all messages
DELETE /messages            204; deletes all messages
GET /livez                  200

The last 1,000 messages are kept, an older one is deleted. A larger message than 1 MiB is refused (552).
A recipient with one of these local parts is for tests: `reject` is refused with 550, `later` with 451,
`reject-content` with 554 after the message.

Environment:
HTTP_PORT             8191; 0 takes a free one
SMTP_PORT             8192; 0 takes a free one
TLS_CERTIFICATE       none; a PEM file. With it STARTTLS is offered
TLS_KEY               required with TLS_CERTIFICATE; a PEM file
SMTPS_PORT            none; a second port of SMTP, which begins with TLS
SMTP_LOGIN            user:password; a message without this login is refused
"""

import asyncio
import json
import os
import re
import signal
import ssl
import sys
import threading
from collections import deque
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from aiosmtpd.smtp import SMTP, AuthResult

HOST = "127.0.0.1"
MESSAGES_MAX = 1_000
MESSAGE_BYTES_MAX = 1 << 20
RECIPIENTS_MAX = 100
HTTP_CONNECTIONS_MAX = 64
SMTP_CONNECTIONS_MAX = 256
SECONDS_MAX = 30  # for a client that sends nothing

REPLIES_TO_RECIPIENT = {"reject": "550 5.1.1 No such mailbox", "later": "451 4.3.0 Try again later"}
REPLIES_TO_MESSAGE = {"reject-content": "554 5.7.1 Content refused"}


class Inbox:
    """The last messages, oldest first."""

    def __init__(self):
        self.lock = threading.Lock()
        self.messages = deque(maxlen=MESSAGES_MAX)

    def add(self, messages):
        with self.lock:
            self.messages.extend(messages)

    def all(self, to=None):
        with self.lock:
            return [message for message in self.messages if to is None or message["to"].lower() == to.lower()]

    def clear(self):
        with self.lock:
            self.messages.clear()


def content_of(raw):
    """Returns subject, text and links of a message. Any exception means that the message cannot be read."""
    message = message_from_bytes(raw, policy=policy.default)
    part = message.get_body(("plain",))
    text = part.get_content().replace("\r\n", "\n") if part else ""
    links = [link.rstrip(".,;:!?)]}'") for link in re.findall(r"https?://[^\s<>\"]+", text)]
    return {"subject": str(message["subject"] or ""), "text": text, "links": links}


class Mail:
    """The answers to SMTP commands that decide about a message."""

    def __init__(self, inbox):
        self.inbox = inbox

    async def handle_RCPT(self, server, session, envelope, address, options):
        if len(envelope.rcpt_tos) >= RECIPIENTS_MAX:
            return "452 4.5.3 Too many recipients"
        refusal = REPLIES_TO_RECIPIENT.get(address.partition("@")[0])
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            if address.partition("@")[0] in REPLIES_TO_MESSAGE:
                return REPLIES_TO_MESSAGE[address.partition("@")[0]]
        try:
            content = content_of(envelope.content)
        except Exception:  # the parser of hostile bytes raises many kinds
            return "554 5.6.0 The message cannot be read"
        self.inbox.add([{"to": address, **content} for address in envelope.rcpt_tos])
        return "250 2.0.0 OK"


class Session(SMTP):
    """One connection. One connection too many is closed at once."""

    running = set()

    def connection_made(self, transport):
        """Is called once more after STARTTLS."""
        Session.running.add(self)
        if len(Session.running) > SMTP_CONNECTIONS_MAX:
            transport.abort()
        super().connection_made(transport)

    def connection_lost(self, error):
        Session.running.discard(self)
        super().connection_lost(error)


class Show(BaseHTTPRequestHandler):
    """One HTTP request."""

    timeout = SECONDS_MAX
    inbox = None

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/livez":
            return self.answer(200, {"status": "ok"})
        if path != "/messages":
            return self.answer_unknown()
        try:
            self.answer(200, self.inbox.all(recipient_asked(query)))
        except ValueError as error:
            self.answer(400, {"error": str(error)})

    def do_DELETE(self):
        if self.path != "/messages":
            return self.answer_unknown()
        self.inbox.clear()
        self.answer(204)

    def answer_unknown(self):
        self.answer(404, {"error": "use GET /messages, GET /messages?to=<address>, DELETE /messages or GET /livez"})

    def answer(self, status, value=None):
        self.send_response(status)
        if value is None:
            return self.end_headers()
        body = json.dumps(value).encode()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code, message=None, explain=None):
        """Answers a request that the library refuses, in the same shape and with a head."""
        self.request_version = self.protocol_version
        self.answer(code, {"error": message or self.responses[code][0]})

    def log_message(self, format, *arguments):
        """Logs nothing: a line would hold the address of a recipient."""


def recipient_asked(query):
    """Returns the address of `to=<address>`, or None without a query. A plus sign stands for itself."""
    if not query:
        return None
    wrong = ValueError("the query must be `to=<address>`, percent-encoded UTF-8, or absent")
    try:
        pairs = parse_qsl(query.replace("+", "%2B"), strict_parsing=True, errors="strict", max_num_fields=1)
    except ValueError:
        raise wrong from None
    if [name for name, _ in pairs] != ["to"]:
        raise wrong
    return pairs[0][1]


class ShowServer(ThreadingHTTPServer):
    """A thread for each connection. A connection too many waits."""

    request_queue_size = 128

    def __init__(self, *arguments):
        self.free = threading.BoundedSemaphore(HTTP_CONNECTIONS_MAX)
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request, client_address):
        """Ignores a client that hung up."""


def fail(text):
    print(f"mail-sink: {text}", file=sys.stderr)
    sys.exit(1)


def port(name, default=None):
    text = os.environ.get(name) or default
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65_535:
        fail(f"{name} is '{text}': give it a whole number from 0 to 65535")
    return int(text)


def tls_context():
    certificate, key = os.environ.get("TLS_CERTIFICATE"), os.environ.get("TLS_KEY")
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # also ssl.SSLError
        fail(f"TLS_CERTIFICATE and TLS_KEY must name a certificate and its key: {error.strerror}")
    return context


def login_options():
    """Returns the options of aiosmtpd that demand the login of SMTP_LOGIN."""
    user, colon, password = (os.environ.get("SMTP_LOGIN") or "").partition(":")
    if not colon:
        return {}

    def check(server, session, envelope, mechanism, given):
        is_right = given.login == user.encode() and given.password == password.encode()
        return AuthResult(success=is_right, handled=False)

    return {"auth_required": True, "auth_require_tls": False, "authenticator": check}


async def serve():
    inbox, context, login, loop = Inbox(), tls_context(), login_options(), asyncio.get_running_loop()

    async def listen(port, starttls, implicit):
        def session():
            return Session(
                Mail(inbox), data_size_limit=MESSAGE_BYTES_MAX, hostname="localhost", ident="mail sink", timeout=SECONDS_MAX,
                tls_context=starttls, loop=loop, **login)

        server = await loop.create_server(session, HOST, port, ssl=implicit, backlog=SMTP_CONNECTIONS_MAX)
        return server.sockets[0].getsockname()[1]

    Show.inbox = inbox
    show = ShowServer((HOST, port("HTTP_PORT", "8191")), Show)
    threading.Thread(target=show.serve_forever, daemon=True).start()
    ports = {"http": show.server_port, "smtp": await listen(port("SMTP_PORT", "8192"), context, None)}
    if port("SMTPS_PORT") is not None:
        if context is None:
            fail("SMTPS_PORT is set: set TLS_CERTIFICATE too")
        ports["smtps"] = await listen(port("SMTPS_PORT"), None, context)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    print(json.dumps(ports), flush=True)
    await stopped.wait()


try:
    asyncio.run(serve())
except OSError as error:
    fail(error.strerror or str(error))
