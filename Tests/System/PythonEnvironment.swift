import Foundation
import TestSupport

/// A virtual environment of this checkout with packages from PyPI.
enum PythonEnvironment {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()

    /// The path of a file next to this one.
    static func path(of file: String) -> String { folder.appending(path: file).path(percentEncoded: false) }

    /// Makes the environment with the versions that a file next to this one lists. A changed list
    /// makes a new one.
    /// - Returns: its folder.
    static func make(_ name: String, requirements: String) async throws -> String {
        let environment = TestDatabase.packageRoot + "/.build/\(name)"
        let installed = URL(filePath: environment + "/installed.txt")
        let wanted = try Data(contentsOf: folder.appending(path: requirements))
        guard (try? Data(contentsOf: installed)) != wanted else { return environment }
        for (program, arguments) in [
            ("/usr/bin/python3", ["-m", "venv", "--clear", environment]),
            (environment + "/bin/pip", ["install", "--quiet", "-r", path(of: requirements)]),
        ] {
            let run = try await Stack.execute(program, arguments)
            guard run.status == 0 else { throw Stack.Failure(description: "\(program) \(arguments): \(run.output.suffix(2_000))") }
        }
        try wanted.write(to: installed)
        return environment
    }
}
