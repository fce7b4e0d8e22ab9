import Contracts
import JSON
import Testing

@testable import LLMProxy

struct OpenAIEmbeddingsTests {
    private func answer(_ body: String) throws(ProviderFailure) -> WholeAnswer {
        try OpenAIEmbeddings().answer(Array(body.utf8), AnswerContext(model: "m", choices: 1, includeUsage: false, createdAt: 0))
    }

    @Test func `a request keeps its bytes, but for the provider's name of the model`() throws {
        let text = #"{ "model" : "m", "input":["\u0061"] ,"dimensions":2.0 }"#
        let request = try Embeddings().read(Array(text.utf8)).modelRequest
        var model = CallBoundTests.model()
        let limit = OutputLimit(tokens: 0, isSent: true, isClamped: false)
        #expect(OpenAIEmbeddings().body(of: request, for: model, limit: limit) == Array(text.utf8))
        model.providerModel = "other"
        let body = try JSONObject(OpenAIEmbeddings().body(of: request, for: model, limit: limit))
        #expect(try body.string("model") == "other")
        #expect(body.members.map(\.name) == ["model", "input", "dimensions"])
        #expect(try body.decimalText("dimensions") == "2.0")
    }

    @Test(
        arguments: [
            (#""usage":{"prompt_tokens":9,"total_tokens":9}"#, 9), (#""usage":{"total_tokens":9}"#, 9),
            (#""usage":{"prompt_tokens":0}"#, nil),
            (#""usage":{"prompt_tokens":-1}"#, nil), (#""usage":{"prompt_tokens":99999999999999}"#, nil), (#""usage":null"#, nil),
            (#""model":"x""#, nil),
        ] as [(String, Int64?)])
    func `the prompt is read, and never output`(usage: String, tokens: Int64?) throws {
        let whole = try answer(#"{"data":[{"embedding":[0.5]}],\#(usage)}"#)
        #expect(whole.hasUncountedResult)
        #expect(whole.reported == tokens.map { Usage(promptTokens: $0, completionTokens: 0) })
    }

    @Test(arguments: ["[]", "[ ]"])
    func `an answer without a vector has no result`(data: String) throws {
        #expect(try answer(#"{"data":\#(data),"usage":{"prompt_tokens":9}}"#).hasUncountedResult == false)
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"data":{}}"#, #"{"data":null}"#, #"{"error":{"message":"sk-secret"}}"#, #"{"data":[1],"error":"sk-secret"}"#,
    ])
    func `a body without a list of vectors is a provider error without its text`(body: String) {
        let failure = #expect(throws: ProviderFailure.self) { try answer(body) }
        #expect(failure?.kind == .wrongAnswer("with something else than embeddings"))
    }
}
