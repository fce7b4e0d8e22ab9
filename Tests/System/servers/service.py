"""A server with a service token: it calls models for users who are not there, and names the user who pays."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

gateway = openai.OpenAI(base_url=os.environ["GATEWAY_URL"] + "/v1", api_key=os.environ["SERVICE_TOKEN"], max_retries=0)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        # Only this server's own workers may call it. A browser could name another user.
        job = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        try:
            answer = gateway.chat.completions.create(
                model="sim-fast",
                messages=[{"role": "user", "content": job["text"]}],
                max_tokens=job.get("max_tokens", 200),
                extra_headers={"x-on-behalf-of": job.get("user", ""), "x-operation": "nightly.summary"},
            )
            status, body = 200, answer.model_dump_json().encode()
        except openai.APIStatusError as error:
            status, body = error.status_code, error.response.content
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
