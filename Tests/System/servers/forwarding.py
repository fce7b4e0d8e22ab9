"""A server whose users are signed in at the gateway: it calls models with the token of the user, who pays."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

# One pool of connections for all users. The key is that of no user: each call brings its own.
gateway = openai.OpenAI(base_url=os.environ["GATEWAY_URL"] + "/v1", api_key="none", max_retries=0)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return self.answer(401, b'{"error":{"message":"Sign in first."}}')
        question = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        try:
            answer = gateway.with_options(api_key=token).chat.completions.create(
                model=question.get("model", "sim-fast"),
                messages=[{"role": "user", "content": question["text"]}],
                max_tokens=question.get("max_tokens", 200),
                stream=True,
            )
        except openai.APIStatusError as error:  # 401, 402, …: the message of the gateway is for the user
            return self.answer(error.status_code, error.response.content)
        with answer:  # a browser that leaves ends the call, and its user pays for the part that was sent
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for chunk in answer:
                self.wfile.write(f"data: {chunk.model_dump_json()}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
