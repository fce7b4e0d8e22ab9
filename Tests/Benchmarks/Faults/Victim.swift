import EventLoop
import Foundation
import HTTPClient
import JSON

/// One part of the stack that is to fail: a process with all processes that it started.
struct Victim {
    let pid: Int32

    init(_ component: String, of stack: BenchStack) throws { pid = try BenchStack(stack.folder + "stack.json").pid(component) }

    func signal(_ signal: Int32) { Self.signal(signal, tree: pid) }

    private static func signal(_ signal: Int32, tree pid: Int32) {
        kill(pid, signal)
        for task in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? [] {
            let children = (try? String(contentsOfFile: "/proc/\(pid)/task/\(task)/children", encoding: .utf8)) ?? ""
            for child in children.split(separator: " ").compactMap({ Int32($0) }) { Self.signal(signal, tree: child) }
        }
    }

    /// Returns the ledger that reads the queue of charges. The name of its connection ends with its
    /// process id.
    static func activeLedger(of stack: BenchStack, on loop: EventLoop) async throws -> String {
        let client = HTTPClient(loop: loop)
        defer { client.close() }
        func list(_ path: String) async throws -> [JSONObject] {
            let answer = try await client.request(ClientRequest("GET", try stack.broker("api") + "/api/" + path))
            guard case .array(let values) = try JSONValue(answer.body) else { return [] }
            return values.compactMap { value in if case .object(let object) = value { object } else { nil } }
        }
        for _ in 0..<100 {
            let active = try await list("consumers/gw").first {
                try $0.object("queue").string("name") == "ledger.cmd.charge" && $0.optionalBool("active") == true
            }
            if let channel = try active?.object("channel_details").string("connection_name"),
                let name = try await list("connections").first(where: { try $0.string("name") == channel })?.optionalString(
                    "user_provided_name"),
                let ledger = try ["ledger", "ledger-2"].first(where: { name.hasSuffix("-\(try stack.pid($0))") })
            {
                return ledger
            }
            try await loop.sleep(for: .milliseconds(200))
        }
        throw BenchError(description: "no ledger reads the charges")
    }
}

/// Runs a program on a thread of its own, so that the load continues.
func executeAside(_ program: String, _ arguments: [String]) async throws -> String {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try execute(program, arguments) }) }
    }
}
