import Foundation
import HTTPClient
import Testing

extension SystemTests {
    /// The request that the client sent, next to the one that the provider got.
    struct RequestBytesTests {
        /// White space and names of every kind, numbers that no `Double` holds, escapes, and unknown
        /// members that have a name twice.
        private static let odd = #"""
              "temperature" : 0.10 ,
            \#t"seed":	123456789012345678901234567890123, "top_p":1.0E+0,"unknown" : { "a":1 ,"a" : 2, "\u0061":[ ] , "n":-0.0e-999 },
            "\u00e9":"\u0e01\/\ud83d\ude00","e\u0301":"é😀 ก\u0000","\u212A":null , "K":[1e400,-0, true ]  ,"":{}, "metadata" :{"ModeL":" \\\" "}
            """#

        private static let messages = #""messages" : [ {"role":"user" , "content":"Say \u0073omething.","x":1.50} ]"#

        /// Sends a request, and returns the body that the provider got.
        private static func sent(_ path: String, _ body: String) async throws -> String {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                try gateway.expect(try await gateway.post(path, token: account.token, body), 200)
                let got = try await gateway.client.request(ClientRequest("GET", try gateway.stack.simulator + "/last-request"))
                try gateway.expect(got, 200)
                return String(decoding: got.body, as: UTF8.self)
            }
        }

        @Test(arguments: [
            ("/v1/chat/completions", "\r\n {\(odd),\t\"model\":\"sim-fast\",\r\n\(messages) , \"max_tokens\" : 20 }\r\n "),
            (
                "/v1/chat/completions",
                "{\(messages),\(odd),\"stream\" : true, \"stream_options\": { \"include_usage\" :true , \"y\":1.0},\"mod\\u0065l\" : \"sim-\\u0066ast\" ,\"max_tokens\":20}"
            ),
            (
                "/v1/responses",
                " {\"store\" : false ,\"input\":\"Say \\u0073omething.\" , \(odd),\"model\":\"sim-fast\",\"max_output_tokens\":20\r\n}"
            ),
            ("/v1/embeddings", "{ \"input\":[ \"ก\" , \"\\u0e01\" ],\(odd),\"model\":\"sim-embed\" }\n"),
            ("/v1/completions", "{ \"prompt\": \"\\u0e01\",\(odd),\"model\":\"sim-fast\" , \"max_tokens\":20 }\n"),
        ])
        func `a request in which nothing of ours is missing reaches the provider byte for byte`(path: String, body: String) async throws {
            #expect(Array(try await Self.sent(path, body).utf8) == Array(body.utf8))
        }

        /// Each `<…>` is what the gateway writes; in the client's request the text before `|` stands there.
        @Test(arguments: [
            (
                "/v1/chat/completions",
                "\n{ \(odd),\"model\":\"sim-fast\",\(messages) , \"stream\" : true<|,\"stream_options\":{\"include_usage\":true}> \n}\t"
            ),
            (
                "/v1/chat/completions",
                "{\"stream_options\":{ \"y\":1.0<|,\"include_usage\":true> } ,\(odd),\"model\":\"sim-fast\", \(messages) , \"stream\" : true}"
            ),
            ("/v1/responses", "{\"model\" : \"sim-fast\" , \(odd) , \"input\":\"Say it.\"<|,\"store\":false>\r\n}"),
            ("/v1/responses", "{<\"store\" : null|\"store\":false>, \"model\" : \"sim-fast\" , \(odd) , \"input\":\"Say it.\"\r\n}"),
            (
                "/v1/messages",
                "{ <\"mod\\u0065l\" : \"sim-claude\"|\"model\":\"sim-fast\"> , \"max_tokens\":20 ,\(messages) , \"system\":\"\\u0e01\" , \"temperature\" : 0.10<|,\"service_tier\":\"standard_only\">\r\n}"
            ),
        ])
        func `all bytes but those of our own members reach the provider`(path: String, template: String) async throws {
            func text(_ part: Int) -> String {
                template.replacing(/<([^|<]*)\|([^>]*)>/) { String(part == 0 ? $0.output.1 : $0.output.2) }
            }
            #expect(Array(try await Self.sent(path, text(0)).utf8) == Array(text(1).utf8))
        }
    }
}
