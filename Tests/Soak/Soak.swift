import EventLoop
import Foundation

/// Plays proxies, billing and a server to two ledgers for minutes, while they and their servers
/// die, and checks every decision.
///
///     soak STACK_TOOL STACK_DIR PORT_BASE SECONDS SEED
///
/// `make soak-ledger` runs it. It ends with status 1 if anything differs, and keeps the data of the
/// stack.
@main
struct Soak {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard arguments.count == 5, let seconds = Int(arguments[3]), let seed = UInt64(arguments[4]), seconds > 0 else {
            print("usage: soak STACK_TOOL STACK_DIR PORT_BASE SECONDS SEED")
            exit(64)
        }
        signal(SIGPIPE, SIG_IGN)
        let stack = SoakStack(directory: arguments[1], tool: arguments[0], portBase: arguments[2])
        EventLoop.runMain(name: "soak") { loop in
            say("seed \(seed), \(seconds) s")
            do {
                let report = try await SoakRun.run(SoakPlan(seed: seed, time: .seconds(seconds), stack: stack), on: loop, say: say)
                for difference in report.differences.prefix(100) { say("DIFFERENCE \(difference)") }
                say(report.summary)
                exit(report.differences.isEmpty ? 0 : 1)
            } catch {
                say("seed \(seed): \(error)")
                exit(1)
            }
        }
    }

    /// Prints a line without delay, also into a pipe.
    @Sendable private static func say(_ line: String) {
        print("soak: \(line)")
        fflush(nil)
    }
}
