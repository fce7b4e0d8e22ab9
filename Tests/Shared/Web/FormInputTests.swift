import HTTP
import HTTPWire
import TestSupport
import Testing

@testable import Web

struct FormInputTests {
    /// Sends a body to a form of two fields, which answers with what it read.
    private func send(_ body: String, type: String = "application/x-www-form-urlencoded") async throws -> (status: Int, body: String) {
        let server = try await PageServer { router in
            router.on(.post, "/form") { request in
                let sent = try FormInput(request)
                return .text(200, "\(sent["name"])|\(sent["other"])|\(sent.isOn("box"))")
            }
        }
        let answer = try await server.ask("POST", "/form", headers: [("content-type", type)], body)
        return (answer.status, answer.body)
    }

    @Test(arguments: [
        ("name=Ada+L%C3%B3&other=%3C%26%3D", "Ada Ló|<&=|false"), ("name=&box=on", "||true"), ("", "||false"), ("box=", "||true"),
        ("other=a=b", "|a=b|false"),
    ])
    func `a form has the fields that were sent, and empty ones`(body: String, read: String) async throws {
        let answer = try await send(body)
        #expect((answer.status, answer.body) == (200, read))
        let withCharset = try await send(body, type: "Application/X-WWW-Form-urlencoded; charset=utf-8")
        #expect((withCharset.status, withCharset.body) == (200, read))
    }

    @Test(arguments: ["name=a&name=b", "name=&name=", "name=a&n%61me=b", "name=%zz", "%ff=a", "name=%00"])
    func `a field that is given twice, or is malformed, is 400`(body: String) async throws {
        let answer = try await send(body)
        #expect(answer.status == 400)
        #expect(answer.body.contains(#""code":"invalid_request""#))
    }

    @Test(arguments: ["application/json", "multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencodedx"])
    func `a body that is no form is 400`(type: String) async throws {
        #expect(try await send("name=a", type: type).status == 400)
    }

    @Test func `the errors keep their order, and a field has its first one`() {
        var sent = FormInput(["a": "1"])
        #expect(sent.isFine)
        #expect(sent.error(of: "a") == nil)
        sent.refuse("b", "second field")
        sent.refuse("a", "first")
        sent.refuse("a", "again")
        #expect(!sent.isFine)
        #expect(sent.error(of: "a") == "first")
        #expect(sent.errors.map(\.field) == ["b", "a", "a"])
        #expect(sent["a"] == "1")
    }
}
