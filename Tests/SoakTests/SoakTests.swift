import EventLoop
import Foundation
import LedgerCore
import TestSupport
import Testing

@testable import Soak

/// The short form of `make soak-ledger`. `TEST_SEED` repeats what is drawn by lot.
struct SoakTests {
    @Test func `two ledgers keep every promise while they, Postgres and RabbitMQ die under them`() async throws {
        let environment = ProcessInfo.processInfo.environment
        let tool = try #require(environment["STACK_TOOL"], "run the tests by `make test`")
        let stacks = try #require(environment["TEST_STACKS"])
        let portBase = try #require(environment["TEST_STACK_PORT_BASE"].flatMap { Int($0) }) + 50
        let seed = drawSeed()
        let loop = EventLoop.spawn(name: "soak")
        defer { loop.stop() }
        let stack = SoakStack(directory: stacks + "/soak", tool: tool, portBase: "\(portBase)")
        let plan = SoakPlan(seed: seed, time: .seconds(30), stack: stack)
        let report = try await Task(executorPreference: loop) { try await SoakRun.run(plan, on: loop) { print("soak: \($0)") } }.value
        print("soak: \(report.summary)")
        try await stack.delete()
        #expect(report.differences.isEmpty, "seed \(seed): \(report.differences.prefix(20).map(\.description).joined(separator: "\n"))")
        #expect(report.commands > 0 && report.refusals > 0 && report.deductions > 0)
        for fault in Fault.inEveryRun { #expect(report.faults[fault] != nil, "\(fault.rawValue)") }
    }
}
