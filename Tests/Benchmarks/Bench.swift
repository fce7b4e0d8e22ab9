import EventLoop
import Foundation

/// Side by side, in one run, as ratios: the proxy beside nginx, the ledger beside pgbench.
///
///     bench proxy STACK_JSON     the stack must run; its first llm-proxy is measured, nginx is started here
///     bench ledger STACK_JSON    the same stack's ledger, its database path, and pgbench on the same Postgres
///
/// Run by `make bench` and `make bench-ledger`. Every measurement alternates between the two sides; what is printed are medians.
@main
struct Bench {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count == 2, let subject = arguments.first, let path = arguments.last, ["proxy", "ledger"].contains(subject) else {
            print("usage: bench proxy|ledger STACK_JSON")
            exit(64)
        }
        signal(SIGPIPE, SIG_IGN)
        EventLoop.runMain(name: "bench") { loop in
            do {
                let stack = try BenchStack(path)
                if subject == "proxy" {
                    try await ProxyBench(stack: stack, loop: loop).run()
                } else {
                    try await LedgerBench(stack: stack, loop: loop).run()
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
