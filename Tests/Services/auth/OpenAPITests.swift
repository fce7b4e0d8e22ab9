import FoundationEssentials
import JSON
import TestSupport
import Testing

@testable import Auth

@Suite(.authDatabase) struct OpenAPITests {
    @Test func `everything the document promises is served`() async throws {
        let file = try Data(contentsOf: URL(filePath: TestDatabase.packageRoot + "/Services/auth/openapi.json"))
        let paths = try JSONObject(Array(file)).object("paths")
        #expect(paths.members.count >= 12)
        try await AuthUnderTest.with { auth in
            // The runtime serves its own routes, which this router does not have.
            for path in paths.members where !["/livez", "/readyz", "/metrics", "/openapi.json"].contains(path.name) {
                for method in try paths.object(path.name).members {
                    let target = path.name.replacing("{id}", with: "abcdefghij")
                    let answer = try await auth.ask(method.name.uppercased(), target, method.name == "post" ? "{}" : nil)
                    #expect(![404, 405, 500].contains(answer.status), "\(method.name) \(target): \(answer.status)")
                }
            }
        }
    }
}
