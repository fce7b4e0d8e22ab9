import Foundation
import JSON

/// Where the measured stack is, as its stack.json says.
struct BenchStack: Sendable {
    let json: JSONObject
    /// Where its state lies.
    let folder: String

    init(_ path: String) throws {
        folder = URL(filePath: path).deletingLastPathComponent().path(percentEncoded: false)
        json = try JSONObject(Array(Data(contentsOf: URL(filePath: path))))
    }

    var edge: String { get throws { try json.string("edge") } }
    var simulator: String { get throws { try json.string("provider_simulator") } }
    func service(_ name: String) throws -> String { try json.object("services").string(name) }
    /// The address of a service's `/metrics`.
    func health(_ name: String) throws -> String { try json.object("health").string(name) }
    func pid(_ component: String) throws -> Int32 { Int32(try json.object("pids").integer(component)) }
    func database(_ name: String) throws -> String { try json.object("database").string(name) }
    func superuserURL(database name: String) throws -> String {
        let url = try database("superuser_url")
        return url[..<(url.lastIndex(of: "/") ?? url.endIndex)] + "/" + name
    }

    /// An empty one.
    func createDatabase(_ name: String) throws {
        _ = try query(try superuserURL(database: "postgres"), "DROP DATABASE IF EXISTS \(name)", "CREATE DATABASE \(name)")
    }

    func broker(_ name: String) throws -> String { try json.object("broker").string(name) }
    var admin: (email: String, password: String) {
        get throws { (try json.object("admin").string("email"), try json.object("admin").string("password")) }
    }
}

/// The kernel's figures of a process (proc(5)).
struct ProcessStats: Sendable {
    /// User and system time since its start.
    var cpu: Duration
    /// And that of its children which have ended.
    var cpuWithChildren: Duration
    var residentKB: Int

    init(pid: Int32) throws {
        let stat = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        // The name in parentheses may hold spaces: fields are counted from behind it.
        let fields = stat[stat.index(after: stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        func time(_ fields: some Sequence<Substring>) -> Duration {
            .milliseconds(fields.reduce(0) { $0 + (Int($1) ?? 0) } * 1_000 / sysconf(Int32(_SC_CLK_TCK)))
        }
        cpu = time(fields[11...12])
        cpuWithChildren = time(fields[11...14])
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let resident = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        residentKB = resident.flatMap { Int($0.split(whereSeparator: { !$0.isNumber }).first ?? "") } ?? 0
    }
}

extension [Double] {
    var median: Double { percentile(50) }

    func percentile(_ share: Double) -> Double {
        guard !isEmpty else { return .nan }
        let sorted = sorted()
        return sorted[Swift.min(count - 1, Int((Double(count) * share / 100).rounded(.down)))]
    }
}

/// A Markdown table with aligned columns.
struct Table {
    var header: [String]
    var rows: [[String]] = []

    func print() {
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        func line(_ row: [String]) -> String {
            "| " + zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: " | ") + " |"
        }
        Swift.print(line(header))
        Swift.print("|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|")
        for row in rows { Swift.print(line(row)) }
    }
}

func rounded(_ value: Double, _ digits: Int = 2) -> String { String(format: "%.\(digits)f", value) }
