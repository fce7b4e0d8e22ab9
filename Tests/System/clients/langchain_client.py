"""What a user of langchain-openai does, with nothing but the base URL and the key of the gateway."""

import importlib.util
import os
import pathlib
from decimal import Decimal

import openai
from account import EDGE, KEY, Account
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

# litellm brings the tables that tiktoken otherwise downloads.
litellm = pathlib.Path(importlib.util.find_spec("litellm").origin).parent
os.environ["TIKTOKEN_CACHE_DIR"] = str(litellm / "litellm_core_utils" / "tokenizers")

account = Account()
options = {"base_url": EDGE + "/v1", "api_key": KEY, "max_retries": 0}
question = [HumanMessage("Say something.")]


def expect(message, **more):
    usage = message.usage_metadata
    account.expect(usage["input_tokens"], usage["output_tokens"], **more)


@tool
def note(text: str) -> str:
    """Keeps a text."""
    return "Kept."


def serves(chat):
    answer = chat.invoke(question)
    assert answer.text, answer
    expect(answer)

    chunks = list(chat.stream(question))
    assert len(chunks) > 10, chunks
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.text == answer.text, whole
    expect(whole)

    with_tool = chat.bind_tools([note])
    called = with_tool.invoke(question)
    expect(called)
    (call,) = called.tool_calls
    assert call["name"] == "note" and call["args"]["text"], called
    result = note.invoke(call)
    assert isinstance(result, ToolMessage) and result.content == "Kept.", result
    after = chat.invoke(question + [called, result])
    assert after.text, after
    expect(after)

    chunks = list(with_tool.stream(question))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [("note", call["args"])], whole
    expect(whole)

    # The simulator answers in prose, so only a schema that is sent as a tool gets its object.
    schema = {"title": "note", "description": "A note.", "type": "object", "properties": {"text": {"type": "string"}}}
    structured = chat.with_structured_output(schema, method="function_calling", include_raw=True).invoke(question)
    assert structured["parsed"] == call["args"] and structured["parsing_error"] is None, structured
    expect(structured["raw"])
    refused = chat.with_structured_output(schema, method="json_schema", include_raw=True).invoke(question)
    assert refused["parsed"] is None and refused["parsing_error"] is not None, refused
    expect(refused["raw"])


serves(ChatOpenAI(model="sim-fast", stream_usage=True, **options))
serves(ChatOpenAI(model="sim-fast", use_responses_api=True, store=False, **options))

cut = ChatOpenAI(model="sim-fast", max_tokens=20, temperature=0.5, **options).invoke(question)
assert cut.response_metadata["finish_reason"] == "length" and cut.usage_metadata["output_tokens"] == 20, cut
expect(cut)

unasked = list(ChatOpenAI(model="sim-fast", stream_usage=False, **options).stream(question))
assert all(chunk.usage_metadata is None for chunk in unasked), unasked
assert account.charged() > 0

usage = ChatOpenAI(model="sim-fast", **options).invoke(question).response_metadata["token_usage"]
assert account.charged() == Decimal(str(usage["credits_used"])), usage

texts = OpenAIEmbeddings(model="sim-embed", check_embedding_ctx_length=False, **options)
assert texts.embed_documents(["one text", "another text"]) == [[1.0] * 6] * 2
account.expect(prompt=2 + 3, completion=0, dollars=(Decimal("0.02"), 0))
# Without that setting the package sends tokens in the place of a text.
tokens = OpenAIEmbeddings(model="sim-embed", dimensions=2, **options)
assert tokens.embed_query("one text") == [1.0] * 2
account.expect(prompt=2, completion=0, dollars=(Decimal("0.02"), 0))


def refuses(kind, code, model="sim-fast", **more):
    try:
        ChatOpenAI(model=model, **{**options, **more}).invoke(question)
    except kind as error:
        assert error.code == code, error
        return account.expect_nothing()
    raise SystemExit(f"{code} was served")


refuses(openai.AuthenticationError, "invalid_api_key", api_key="ssk_wrong")
refuses(openai.APIStatusError, "insufficient_credits", api_key=os.environ["POOR_KEY"])
refuses(openai.NotFoundError, "model_not_found", model="no-such-model")
refuses(openai.InternalServerError, "provider_error", model="sim-429")
refuses(openai.BadRequestError, "invalid_request", use_responses_api=True, store=True)

print("the client is content")
