import Contracts
import HTTP
import JSON
import Testing

@testable import LLMProxy

struct EmbeddingsTests {
    private func request(_ text: String) throws(RequestRefusal) -> CallRequest { try Embeddings().read(Array(text.utf8)) }

    private func refusal(_ members: String) -> Problem? {
        do throws(RequestRefusal) {
            let request = try request(#"{"model":"m",\#(members)}"#)
            return OpenAIEmbeddings().flaw(in: request.modelRequest).map { Problem(.init($0)) }
        } catch {
            return Problem(error)
        }
    }

    @Test(
        arguments: [
            (#""input":"some text""#, 0, 1), (#""input":["some","texts"]"#, 0, 2), (#""input":[1,22,333]"#, 3, 1),
            (#""input":[[1,22],[],[333]]"#, 3, 3),
        ] as [(String, Int64, Int64)])
    func `each form of the input is read`(input: String, tokens: Int64, texts: Int64) throws {
        let body = #"{"model":"m",\#(input)}"#
        let call = try request(body)
        #expect((call.modelRequest.model, call.modelRequest.isStreaming, call.modelRequest.choices) == ("m", false, 1))
        #expect(call.outputTokensMax == 0)
        #expect(call.prompt.tokens == tokens)
        #expect(call.prompt.messages == texts)
        #expect((1...Int64(body.utf8.count)).contains(call.prompt.textBytes + call.prompt.tokens))
        #expect((call.prompt.textBytes == Int64(body.utf8.count)) == (tokens == 0))
    }

    @Test(
        arguments: [
            (#""n":1"#, .missingParameter, "input"), (#""input":null"#, .missingParameter, "input"),
            (#""input":7"#, .invalidRequest, "input"),
            (#""input":{}"#, .invalidRequest, "input"), (#""input":[]"#, .invalidRequest, "input"),
            (#""input":["a",1]"#, .invalidRequest, "input"), (#""input":[1.5]"#, .invalidRequest, "input"),
            (#""input":[["a"]]"#, .invalidRequest, "input"), (#""input":[[1],"a"]"#, .invalidRequest, "input"),
            (#""input":[{"image":"https://h/x.png"}]"#, .invalidRequest, "input"), (#""input":[null]"#, .invalidRequest, "input"),
            (#""input":"a","Input":"b""#, .invalidRequest, "Input"), (#""input":"a","MODEL":"b""#, .invalidRequest, "MODEL"),
            (#""input":"a","stream":true"#, .invalidRequest, "stream"), (#""input":"a","messages":[]"#, .invalidRequest, "messages"),
            (#""input":"a","Messages":[]"#, .invalidRequest, "Messages"),
            (#""input":"a","service_tier":"flex""#, .invalidRequest, "service_tier"),
            (#""input":"a","models":["dear"]"#, .invalidRequest, "models"),
        ] as [(String, ErrorCode, String)])
    func `a member that is wrong or changes the price is refused by name`(members: String, code: ErrorCode, param: String) throws {
        let problem = try #require(refusal(members))
        #expect((problem.code, problem.param) == (code, param))
        #expect(problem.message.contains(param) && problem.message.hasSuffix("."))
    }

    @Test(arguments: [
        #""input":"a","encoding_format":"base64""#, #""input":"a","dimensions":256,"user":"u""#, #""input":"a","stream":false"#,
        #""input":"a","input_type":"query""#,
    ])
    func `a member that leaves the price alone passes`(members: String) { #expect(refusal(members) == nil) }

    @Test func `2,048 texts and 300,000 tokens are read, and no more texts`() throws {
        func texts(_ count: Int) -> String { "[" + [String](repeating: #""a""#, count: count).joined(separator: ",") + "]" }
        #expect(refusal(#""input":\#(texts(2_048))"#) == nil)
        #expect(refusal(#""input":\#(texts(2_049))"#)?.param == "input")
        let tokens = "[" + [String](repeating: "1", count: 150_000).joined(separator: ",") + "]"
        #expect(try request(#"{"model":"m","input":[\#(tokens),\#(tokens)]}"#).prompt.tokens == 300_000)
    }
}
