import EventLoop
import Foundation

/// Measures the proxy next to nginx, and the ledger next to pgbench, in one run, as ratios.
/// Measures the outbox alone, in rows a second. Measures the whole gateway before, during and after
/// faults. Measures how long large bodies stop the other connections of a loop. Measures auth, and the
/// check of credentials.
///
///     bench proxy STACK_JSON     the stack must run; its first llm-proxy is measured, nginx is started here
///     bench ledger STACK_JSON    the same stack's ledger, its database path, and pgbench on the same Postgres
///     bench outbox STACK_JSON    the stack's Postgres and RabbitMQ, and a relay started here
///     bench bodies STACK_JSON    the stack's first llm-proxy, with plain and hostile bodies of 15 MiB
///     bench faults STACK_JSON    the whole stack with two ledgers, while its parts fail
///     bench auth STACK_JSON      the stack's auth under attack and under load, and both llm-proxy
///     bench versions STACK_JSON OTHER_STACK_JSON    the first llm-proxy of two stacks, next to each other
///
/// `make bench`, `make bench-bodies`, `make bench-ledger`, `make bench-outbox`, `make bench-faults`,
/// `make bench-auth` and `make bench-versions` run it. Comparisons alternate between the two sides, and the printed figures are
/// medians.
@main
struct Bench {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        guard
            let subject = arguments.first, ["proxy", "bodies", "ledger", "outbox", "faults", "auth", "versions"].contains(subject),
            arguments.count == (subject == "versions" ? 3 : 2)
        else {
            print("usage: bench proxy|bodies|ledger|outbox|faults|auth STACK_JSON, or bench versions STACK_JSON OTHER_STACK_JSON")
            exit(64)
        }
        let paths = Array(arguments.dropFirst())
        signal(SIGPIPE, SIG_IGN)
        EventLoop.runMain(name: "bench") { loop in
            do {
                let stack = try BenchStack(paths[0])
                switch subject {
                case "proxy": try await ProxyBench(stack: stack, loop: loop).run()
                case "bodies": try await BodyBench(stack: stack, loop: loop).run()
                case "ledger": try await LedgerBench(stack: stack, loop: loop).run()
                case "auth": try await AuthBench(stack: stack, loop: loop).run()
                case "versions": try await VersionBench(now: stack, other: try BenchStack(paths[1]), loop: loop).run()
                case "faults": try await FaultBench(stack: stack, loop: loop).run()
                default: try await OutboxBench(stack: stack, loop: loop).run()
                }
                exit(0)
            } catch {
                print("bench: \(error)")
                exit(1)
            }
        }
    }
}

struct BenchError: Error, CustomStringConvertible {
    var description: String
}
