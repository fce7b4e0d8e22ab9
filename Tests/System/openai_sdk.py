"""What a user of the official openai package does, with nothing but its base URL and key set by the environment."""

import openai

client = openai.OpenAI(max_retries=0)
messages = [{"role": "user", "content": "Say something."}]

answer = client.chat.completions.create(model="sim-fast", messages=messages)
assert answer.choices[0].message.content, answer
assert answer.usage.completion_tokens > 0, answer
assert answer.usage.model_extra["credits_used"] > 0, answer
assert answer.usage.model_extra["credits_remaining"] > 0, answer

raw = client.chat.completions.with_raw_response.create(model="sim-fast", messages=messages)
assert float(raw.headers["x-credits-used"]) > 0, raw.headers

chunks = list(
    client.chat.completions.create(
        model="sim-fast", messages=messages, stream=True, stream_options={"include_usage": True}
    )
)
text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
assert text, chunks
assert chunks[-1].usage.completion_tokens > 0, chunks[-1]
assert chunks[-1].usage.model_extra["credits_used"] > 0, chunks[-1]

plain = list(client.chat.completions.create(model="sim-fast", messages=messages, stream=True))
assert all(c.usage is None for c in plain), plain[-1]
assert "".join(c.choices[0].delta.content or "" for c in plain if c.choices) == text

assert any(model.id == "sim-fast" for model in client.models.list())
assert client.models.retrieve("sim-fast").id == "sim-fast"

try:
    client.chat.completions.create(model="no-such-model", messages=messages)
    raise SystemExit("a model that does not exist was served")
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error

try:
    openai.OpenAI(api_key="ssk_wrong", max_retries=0).chat.completions.create(model="sim-fast", messages=messages)
    raise SystemExit("a wrong key was served")
except openai.AuthenticationError as error:
    assert error.code == "invalid_api_key", error

try:
    list(client.chat.completions.create(model="sim-dies", messages=messages, stream=True))
    raise SystemExit("a broken stream looked whole")
except openai.APIError:
    pass

texts = client.embeddings.create(model="sim-embed", input=["one text", "another text"])
assert [list(item.embedding) for item in texts.data] == [[1.0] * 6] * 2, texts
assert texts.usage.prompt_tokens > 0, texts
assert texts.usage.model_extra["credits_used"] > 0, texts
numbers = client.embeddings.create(model="sim-embed", input=[1, 2, 3], dimensions=2, encoding_format="float")
assert numbers.data[0].embedding == [1, 1] and numbers.usage.prompt_tokens == 3, numbers

try:
    client.embeddings.create(model="sim-fast", input="a text")
    raise SystemExit("a chat model made embeddings")
except openai.BadRequestError as error:
    assert error.param == "model", error

print("the SDK is content")
