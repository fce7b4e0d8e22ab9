import Foundation
import TestSupport
import Testing

extension SystemTests {
    /// The scripts of the local stack.
    struct LocalStackTests {
        @Test func `a template gets the value as it is`() async throws {
            let tool = try #require(ProcessInfo.processInfo.environment["STACK_TOOL"], "run the tests by `make test`")
            let template = tool.replacing("stack.sh", with: "lib/template.sh")
            let value = #"a&b\&c*?$d"#
            let run = try await Stack.execute(
                "/usr/bin/env", ["bash", "-c", #"source "$1"; fill <(echo 'before ${NAME} after') "NAME=$2""#, "-", template, value])
            #expect(run.output == "before \(value) after\n")
        }
    }
}
