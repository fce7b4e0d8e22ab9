"""What a user of the official openai package does, with nothing but its base URL and key set by the environment."""

import json

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

response = client.responses.create(model="sim-fast", input="Say something.")
assert response.output_text and response.status == "completed", response
assert response.usage.output_tokens > 0, response
assert response.usage.model_extra["credits_used"] > 0, response

events = list(client.responses.create(model="sim-fast", input=[{"role": "user", "content": "Say it."}], stream=True))
assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == response.output_text
assert [e.sequence_number for e in events] == list(range(len(events))), events
assert events[-1].type == "response.completed", events[-1]
assert events[-1].response.usage.model_extra["credits_used"] > 0, events[-1]

with client.responses.stream(model="sim-fast", input="Say something.") as stream:
    assert stream.get_final_response().output_text == response.output_text

events = list(client.responses.create(model="sim-fast", input="Say it.", max_output_tokens=20, stream=True))
assert events[-1].type == "response.incomplete" and events[-1].response.usage.output_tokens == 20, events[-1]

tools = [{"type": "function", "name": "say", "parameters": {"type": "object"}, "strict": False}]
call = client.responses.create(model="sim-fast", input="Say something.", tools=tools).output[0]
assert call.type == "function_call" and call.name == "say" and json.loads(call.arguments)["text"], call
result = {"type": "function_call_output", "call_id": call.call_id, "output": "said"}
turn = [{"role": "user", "content": "Say something."}, call.model_dump(exclude_none=True), result]
assert client.responses.create(model="sim-fast", input=turn).output_text
events = list(client.responses.create(model="sim-fast", input="Say something.", tools=tools, stream=True))
arguments = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
assert json.loads(arguments) == json.loads(call.arguments), arguments

for refused in [{"store": True}, {"previous_response_id": "resp_1"}, {"tools": [{"type": "web_search"}]}]:
    try:
        client.responses.create(model="sim-fast", input="Say something.", **refused)
        raise SystemExit(f"a response with {refused} was served")
    except openai.BadRequestError as error:
        assert error.param.split("[")[0] in refused, error

try:
    list(client.responses.create(model="sim-dies", input="Say something.", stream=True))
    raise SystemExit("a broken stream looked whole")
except openai.APIError as error:
    assert error.code == "provider_error", error

completion = client.completions.create(model="sim-fast", prompt=["Say", "something."], max_tokens=20)
assert [choice.finish_reason for choice in completion.choices] == ["length"] * 2, completion
assert completion.usage.completion_tokens == 40 and completion.usage.model_extra["credits_used"] > 0, completion
chunks = list(
    client.completions.create(
        model="sim-fast", prompt=[1, 2, 3], max_tokens=20, stream=True, stream_options={"include_usage": True}
    )
)
assert "".join(c.choices[0].text for c in chunks if c.choices) == completion.choices[0].text, chunks
assert chunks[-1].usage.prompt_tokens == 3 and chunks[-1].usage.model_extra["credits_used"] > 0, chunks[-1]
plain = list(client.completions.create(model="sim-fast", prompt="Say something.", stream=True))
assert all(c.usage is None for c in plain), plain[-1]

try:
    client.completions.create(model="sim-fast", prompt="Say something.", best_of=3)
    raise SystemExit("hidden candidates were served")
except openai.BadRequestError as error:
    assert error.param == "best_of", error

texts = client.embeddings.create(model="sim-embed", input=["one text", "another text"])
assert [list(item.embedding) for item in texts.data] == [[1.0] * 6] * 2, texts
assert texts.usage.prompt_tokens > 0, texts
assert texts.usage.model_extra["credits_used"] > 0, texts
pictures = client.images.generate(model="sim-picture", prompt="a grey point", n=2, size="1024x1792", quality="hd")
assert all(picture.b64_json.startswith("iVBOR") for picture in pictures.data) and len(pictures.data) == 2, pictures
assert pictures.usage.credits_used == 6.9, pictures.usage  # two at 0.12 USD, 15 % on top, 25 credits a dollar
try:
    client.images.generate(model="sim-picture", prompt="a grey point", size="512x512")
    raise SystemExit("a picture without a price was made")
except openai.BadRequestError as error:
    assert error.param == "size", error
tokens = client.images.generate(model="sim-picture-tokens", prompt="a grey point").usage
assert tokens.output_tokens == 1056 and tokens.credits_used > 1.2, tokens

with client.audio.speech.with_streaming_response.create(model="sim-voice", input="Some words", voice="alloy") as sound:
    assert sound.headers["content-type"] == "audio/mpeg", sound.headers
    assert float(sound.headers["x-credits-used"]) == 0.0043125, sound.headers  # ten characters at 15 USD a million
    assert len(sound.read()) == 16_000
events = client.audio.speech.with_streaming_response.create(
    model="sim-voice-events", input="Some words", voice="alloy", stream_format="sse")
with events as sound:
    lines = [line for line in sound.iter_lines() if line.startswith("data: ")]
assert len(lines) == 21 and "credits_used" in lines[-1], lines[-1]

scribed = client.audio.transcriptions.create(model="sim-scribe", file=("a.wav", b"x" * 500_000))
assert scribed.text == "Simulated words." and scribed.usage.credits_used == 0.1725, scribed  # 32 s: twice 0.003 USD
subtitles = client.audio.transcriptions.create(model="sim-scribe", file=("a.wav", b"x" * 500_000), response_format="srt")
assert "-->" in subtitles, subtitles
assert client.audio.transcriptions.create(model="sim-scribe-flat", file=("a.wav", b"x"), response_format="text").strip() == "Simulated words."
with client.audio.transcriptions.create(model="sim-scribe-tokens", file=("a.wav", b"x" * 50_000), stream=True) as events:
    kinds = [event.type for event in events]
assert kinds == ["transcript.text.delta"] * 10 + ["transcript.text.done"], kinds
edited = client.images.edit(model="sim-picture-tokens", image=[("a.png", b"x" * 1_000), ("b.png", b"y" * 1_000)], prompt="a hat")
assert len(edited.data) == 1 and edited.usage.output_tokens == 1056, edited

video = client.videos.create_and_poll(model="sim-video", prompt="a cat", seconds="4", size="1280x720")
assert video.status == "completed" and video.model_extra["usage"]["credits_used"] == 11.5, video
assert len(client.videos.download_content(video.id).read()) == 262_144
assert video.id in [one.id for one in client.videos.list()]
assert client.videos.delete(video.id).deleted
start = client.videos.create(model="sim-video-flat", prompt="a cat", seconds="8", input_reference=("a.png", b"x" * 1_000, "image/png"))
assert start.model_extra["usage"]["credits_held"] == 10, start

numbers = client.embeddings.create(model="sim-embed", input=[1, 2, 3], dimensions=2, encoding_format="float")
assert numbers.data[0].embedding == [1, 1] and numbers.usage.prompt_tokens == 3, numbers

try:
    client.embeddings.create(model="sim-fast", input="a text")
    raise SystemExit("a chat model made embeddings")
except openai.BadRequestError as error:
    assert error.param == "model", error

print("the SDK is content")
