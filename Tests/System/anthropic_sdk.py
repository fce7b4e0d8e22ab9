"""What a user of the official anthropic package does, with nothing but its base URL and key set by the environment."""

import base64
import sys

import anthropic

client = anthropic.Anthropic(max_retries=0)
messages = [{"role": "user", "content": "Say something."}]
tool = {
    "name": "note",
    "description": "Keeps a text.",
    "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}
picture = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"\x89PNG\r\n").decode()},
}


def credits(usage):
    return usage.model_extra["credits_used"]


count = client.messages.count_tokens(model="sim-claude", system="Be short.", messages=messages)
assert count.input_tokens > 3, count
try:
    client.messages.count_tokens(model="sim-fast", messages=messages)
    raise SystemExit("a model without a count was counted")
except anthropic.BadRequestError as error:
    assert "counts no tokens" in str(error), error


def serves(model):
    answer = client.messages.create(model=model, max_tokens=50, system="Be short.", messages=messages)
    assert answer.type == "message" and answer.content[0].text, answer
    assert answer.stop_reason == "max_tokens", answer
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens == 50, answer
    assert credits(answer.usage) > 0 and answer.usage.model_extra["credits_remaining"] > 0, answer
    assert answer._request_id, answer

    events = []
    with client.messages.stream(model=model, max_tokens=50, messages=messages) as stream:
        for event in stream:
            events.append(event.type)
        final = stream.get_final_message()
    assert events[0] == "message_start" and events[-1] == "message_stop", events
    assert final.content[0].text == answer.content[0].text, final
    assert final.stop_reason == "max_tokens" and final.usage.output_tokens == 50, final
    raw = list(client.messages.create(model=model, max_tokens=50, messages=messages, stream=True))
    assert raw[-2].type == "message_delta" and credits(raw[-2].usage) > 0, raw[-2]

    called = client.messages.create(model=model, max_tokens=200, messages=messages, tools=[tool])
    assert called.stop_reason == "tool_use", called
    use = called.content[-1]
    assert use.type == "tool_use" and use.name == "note" and use.input["text"], called
    with client.messages.stream(model=model, max_tokens=200, messages=messages, tools=[tool]) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[-1].input == use.input, streamed
    after = client.messages.create(
        model=model,
        max_tokens=200,
        tools=[tool],
        tool_choice={"type": "any"},
        messages=messages
        + [
            {"role": "assistant", "content": called.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "Kept."}]},
        ],
    )
    assert after.usage.input_tokens > 0, after

    seen = client.messages.create(
        model=model,
        max_tokens=50,
        messages=[{"role": "user", "content": [picture, {"type": "text", "text": "What is this?"}]}],
        stop_sequences=["END"],
        extra_body={"temperature": 0.5},
    )
    assert seen.content[0].text, seen


serves("sim-claude")
serves("sim-fast")

thought = client.messages.create(
    model="sim-claude", max_tokens=4000, thinking={"type": "enabled", "budget_tokens": 1024}, messages=messages
)
assert thought.content[0].type == "thinking" and thought.content[0].signature, thought
assert thought.content[1].text, thought
with client.messages.stream(
    model="sim-claude", max_tokens=4000, thinking={"type": "enabled", "budget_tokens": 1024}, messages=messages
) as stream:
    assert [block.type for block in stream.get_final_message().content] == ["thinking", "text"]

system = [{"type": "text", "text": "Be short. " * 40, "cache_control": {"type": "ephemeral"}}]
plain = client.messages.create(model="sim-claude", max_tokens=1, system=system[0]["text"], messages=messages)
cached = client.messages.create(model="sim-claude", max_tokens=1, system=system, messages=messages)
assert cached.usage.cache_creation_input_tokens == plain.usage.input_tokens > 0, cached
assert credits(cached.usage) > credits(plain.usage), (plain, cached)


def refused(kind, code, call):
    try:
        call()
    except kind as error:
        assert error.body["type"] == "error", error.body
        assert error.body["error"]["code"] == code, error.body
        assert error.request_id == error.body["request_id"], error.body
        return error
    raise SystemExit(f"{code} was served")


def create(model="sim-claude", by=client, **more):
    return lambda: by.messages.create(model=model, **{"max_tokens": 50, "messages": messages, **more})


error = refused(anthropic.NotFoundError, "model_not_found", create("no-such-model"))
assert error.body["error"]["type"] == "not_found_error", error.body
wrong = anthropic.Anthropic(api_key="ssk_wrong", max_retries=0)
error = refused(anthropic.AuthenticationError, "invalid_api_key", create(by=wrong))
assert error.body["error"]["type"] == "authentication_error", error.body
refused(anthropic.BadRequestError, "invalid_request", create(tools=[{"type": "web_search_20250305", "name": "web_search"}]))
refused(anthropic.BadRequestError, "invalid_request", create("sim-fast", thinking={"type": "enabled", "budget_tokens": 1024}))
refused(anthropic.ContentTooLargeError, "payload_too_large", create(system="x" * (17 << 20)))
# The least of the prompt alone costs more than the ten credits of the account.
long = [{"type": "text", "text": "word " * 100_000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
poor = refused(anthropic.PaymentRequiredError, "insufficient_credits", create(system=long))
assert poor.body["error"]["type"] == "billing_error", poor.body
assert poor.body["error"]["required"] > poor.body["error"]["balance"], poor.body

for model in ["sim-claude-dies", "sim-dies"]:
    try:
        for event in client.messages.create(model=model, max_tokens=50, messages=messages, stream=True):
            assert event.type != "message_stop", event
        raise SystemExit("a broken stream looked whole")
    except anthropic.APIError as error:
        assert error.body["error"]["code"] == "provider_error", error.body

sys.stdout.write("the SDK is content\n")
