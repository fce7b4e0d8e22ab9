"""What a user of litellm as a library does, with nothing but the base URL and the key of the gateway."""

import http.client
import json
import os
import urllib.parse
from decimal import Decimal

import httpx
import litellm
import openai
from account import EDGE, KEY, Account

litellm.suppress_debug_info = True
account = Account()
messages = [{"role": "user", "content": "Say something."}]
tool = {
    "type": "function",
    "function": {
        "name": "note",
        "description": "Keeps a text.",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    },
}
OPENAI = {"api_base": EDGE + "/v1", "api_key": KEY, "max_retries": 0}
ANTHROPIC = {"api_base": EDGE, "api_key": KEY, "max_retries": 0}


def serves(model, options, dollars):
    def complete(**more):
        return litellm.completion(model=model, messages=more.pop("messages", messages), **options, **more)

    def expect(answer):
        account.expect(answer.usage.prompt_tokens, answer.usage.completion_tokens, dollars)

    def stream(**more):
        chunks = list(complete(stream=True, stream_options={"include_usage": True}, **more))
        assert len(chunks) > 5, chunks
        whole = litellm.stream_chunk_builder(chunks, messages=messages)
        expect(whole)
        return whole.choices[0].message

    answer = complete(max_tokens=50)
    text = answer.choices[0].message.content
    assert text and answer.choices[0].finish_reason == "length", answer
    assert answer.usage.completion_tokens == 50, answer
    expect(answer)
    assert stream(max_tokens=50).content == text

    called = complete(tools=[tool], max_tokens=200)
    (call,) = called.choices[0].message.tool_calls
    assert called.choices[0].finish_reason == "tool_calls" and call.function.name == "note", called
    assert json.loads(call.function.arguments)["text"], called
    expect(called)
    (streamed,) = stream(tools=[tool], max_tokens=200).tool_calls
    assert streamed.function.name == "note", streamed
    assert json.loads(streamed.function.arguments) == json.loads(call.function.arguments), streamed
    result = {"role": "tool", "tool_call_id": call.id, "content": "Kept."}
    after = complete(messages=messages + [called.choices[0].message.model_dump(), result], tools=[tool], max_tokens=200)
    expect(after)


serves("openai/sim-fast", OPENAI, (1, 4))
serves("anthropic/sim-claude", ANTHROPIC, (1, 5))
serves("anthropic/sim-fast", ANTHROPIC, (1, 4))

made = litellm.embedding(model="openai/sim-embed", input=["one text", "another text"], **OPENAI)
assert len(made.data) == 2, made
account.expect(made.usage.prompt_tokens, 0, (Decimal("0.02"), 0))


def complete(model, **more):
    options = ANTHROPIC if model.startswith("anthropic/") else OPENAI
    return litellm.completion(model=model, **{"messages": messages, "max_tokens": 50, **options, **more})


def refuses(kind, status, model, **more):
    for streams in [False, True]:
        try:
            list(complete(model, stream=streams, **more))
        except kind as error:
            assert error.status_code == status, error
            account.expect_nothing()
        else:
            raise SystemExit(f"{model} was served with {more}")


for api in ["openai", "anthropic"]:
    refuses(litellm.AuthenticationError, 401, api + "/sim-fast", api_key="ssk_wrong")
    # litellm has a type for 402 with Anthropic's API only.
    unpaid = litellm.APIError if api == "openai" else litellm.exceptions.PaymentRequiredError
    refuses(unpaid, 402, api + "/sim-fast", api_key=os.environ["POOR_KEY"])
    refuses(litellm.NotFoundError, 404, api + "/no-such-model")
    refuses(litellm.BadGatewayError, 502, api + "/sim-429")
refuses(litellm.BadRequestError, 400, "openai/sim-fast", n=1_000)

# The edge limits the requests of every address but 127.0.0.1.
limited = openai.OpenAI(
    base_url=EDGE + "/v1",
    api_key=KEY,
    max_retries=0,
    http_client=openai.DefaultHttpxClient(transport=httpx.HTTPTransport(local_address="127.0.0.9")),
)


def use_up_requests():
    address = urllib.parse.urlsplit(EDGE)
    connection = http.client.HTTPConnection(address.hostname, address.port, source_address=("127.0.0.9", 0))
    status = 200
    while status == 200:
        connection.request("GET", "/livez")
        with connection.getresponse() as answer:
            status = answer.status
            answer.read()
    assert status == 429, status


while True:
    use_up_requests()
    try:
        complete("openai/sim-fast", client=limited)
        account.charged()
    except litellm.RateLimitError as error:
        assert error.status_code == 429, error
        break
account.expect_nothing()

print("the client is content")
