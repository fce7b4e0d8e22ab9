import Foundation

/// A virtual environment of this checkout with packages from PyPI.
package enum PythonEnvironment {
    /// The path of a file next to the caller's.
    package static func path(of file: String, nextTo caller: String = #filePath) -> String {
        URL(filePath: caller).deletingLastPathComponent().appending(path: file).path(percentEncoded: false)
    }

    /// Makes the environment with the versions that a file next to the caller's lists. A changed list
    /// makes a new one.
    /// - Returns: its folder.
    package static func make(_ name: String, requirements: String, nextTo caller: String = #filePath) async throws -> String {
        let environment = TestDatabase.packageRoot + "/.build/\(name)"
        let installed = URL(filePath: environment + "/installed.txt")
        let list = path(of: requirements, nextTo: caller)
        let wanted = try Data(contentsOf: URL(filePath: list))
        guard (try? Data(contentsOf: installed)) != wanted else { return environment }
        for (program, arguments) in [
            ("/usr/bin/python3", ["-m", "venv", "--clear", environment]),
            (environment + "/bin/pip", ["install", "--quiet", "-r", list]),
        ] {
            let run = try await ChildProcess.run(program, arguments)
            guard run.status == 0 else {
                throw ChildProcess.Failure(description: "\(program) \(arguments): \(run.output.suffix(2_000))")
            }
        }
        try wanted.write(to: installed)
        return environment
    }
}
