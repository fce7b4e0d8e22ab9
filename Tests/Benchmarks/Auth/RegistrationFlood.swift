import EventLoop
import Foundation
import Values

/// Floods auth with registrations of one network while a user of another network signs in again and
/// again. The limits of registration are the defaults.
///
/// Requests are sent to auth's own port, so the limits of the edge do not help. They name their client
/// in `x-forwarded-for`, which auth believes because this machine is a trusted proxy.
struct RegistrationFlood {
    let stack: BenchStack
    let loop: EventLoop
    let rounds: Int

    /// Tells the addresses of this run from those of another run on the same stack.
    private let runID = UUIDv7.make()

    private static let requests = 10_000
    private static let atOnce = 64
    /// The defaults of `REGISTER_BURST` and `REGISTER_PER_MINUTE`.
    private static let accountsMax = (burst: 50, perMinute: 10)

    func run() async throws {
        let unlimited = try stack.variables()
        _ = try await stack.restart("auth", unlimited.filter { !$0.hasPrefix("REGISTER_") })
        try await measure()
        _ = try await stack.restart("auth", unlimited)
    }

    private func measure() async throws {
        print(
            """

            ### A flood of registrations

            \(rounds) floods of \(Self.requests) registrations, \(Self.atOnce) at a time, each flood from one network (an IPv6 /64). \
            Meanwhile a user of another network signs in again and again, one sign-in at a time. After each flood comes a pause of the \
            same length. Auth's own port, default limits.

            """)
        let client = try ServiceClient(try stack.service("auth"), on: loop)
        let user = try await client.register()
        for _ in 0..<20 { _ = try await client.session(of: user.email, from: user.network) }
        var (quiet, flooded) = (SignIns(), SignIns())
        var floods: [Flood] = []
        for round in 0..<rounds {
            let begun = MonotonicInstant.current()
            let load = try WrkLoad(
                try stack.service("auth") + "/api/auth/register", connections: Self.atOnce, script: script(round))
            async let output = load.end(after: "END")
            while !load.isOver { flooded.add(try await client.login(user.email, from: user.network)) }
            var flood = try Flood(reading: await output, length: MonotonicInstant.current() - begun)
            flood.accounts = try accounts(of: round)
            floods.append(flood)
            try await mailsSent()
            let end = MonotonicInstant.current() + flood.length
            while MonotonicInstant.current() < end { quiet.add(try await client.login(user.email, from: user.network)) }
        }
        report(quiet, flooded, floods)
    }

    /// The sign-ins of one phase.
    private struct SignIns {
        var milliseconds: [Double] = []
        var failed = 0

        mutating func add(_ answer: ServiceClient.Answer) {
            milliseconds.append(answer.milliseconds)
            if answer.status != 200 { failed += 1 }
        }

        func row(_ name: String) -> [String] {
            [
                name, "\(milliseconds.count)", rounded(milliseconds.median, 1), rounded(milliseconds.percentile(99), 1),
                rounded(milliseconds.max() ?? .nan, 1), "\(failed)",
            ]
        }
    }

    private func report(_ quiet: SignIns, _ flooded: SignIns, _ floods: [Flood]) {
        var table = Table(header: ["phase", "sign-ins", "p50 ms", "p99 ms", "longest ms", "not 200"])
        table.rows = [quiet.row("without a flood"), flooded.row("during a flood")]
        table.rows.append([
            "ratio", "", rounded(flooded.milliseconds.median / quiet.milliseconds.median),
            rounded(flooded.milliseconds.percentile(99) / quiet.milliseconds.percentile(99)), "", "",
        ])
        table.print()
        let seconds = floods.map { $0.length / .seconds(1) }
        let accounts = floods.map(\.accounts)
        let bound = Self.accountsMax.burst + Int((seconds.max() ?? 0) / 60 * Double(Self.accountsMax.perMinute)) + 1
        var statuses: [Int: Int] = [:]
        for flood in floods { statuses.merge(flood.statuses) { $0 + $1 } }
        print(
            """

            A flood took \(rounded(seconds.median, 1)) s (\(rounded(Double(Self.requests) / seconds.median, 0)) requests a second) and made \
            \(accounts.min() ?? 0) to \(accounts.max() ?? 0) accounts (at most \(bound) are permitted). All answers: \
            \(statuses.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }.joined(separator: ", ")); \
            \(floods.map(\.withoutRetryAfter).reduce(0, +)) of the 429 and 503 had no `retry-after`.
            """)
    }

    // MARK: The flood

    private struct Flood {
        var length: Duration
        var statuses: [Int: Int] = [:]
        /// The refusals that do not say when to try again.
        var withoutRetryAfter = 0
        /// The accounts that it made, as the database has them.
        var accounts = 0

        init(reading output: String, length: Duration) throws {
            self.length = length
            for line in output.split(separator: "\n") {
                let numbers = line.split(separator: " ").dropFirst().compactMap { Int($0) }
                if line.hasPrefix("STATUS "), numbers.count == 2 { statuses[numbers[0]] = numbers[1] }
                if line.hasPrefix("WITHOUT "), numbers.count == 1 { withoutRetryAfter = numbers[0] }
            }
            guard statuses.values.reduce(0, +) == RegistrationFlood.requests else {
                throw BenchError(description: "wrk: \(output.suffix(500))")
            }
        }
    }

    /// Returns a script of wrk that registers, each time from another address of the network of a
    /// round. After the last answer it prints the statuses.
    private func script(_ round: Int) -> String {
        """
        local sent, answered, without, statuses = 0, 0, 0, {}
        wrk.method = "POST"
        wrk.headers["content-type"] = "application/json"
        request = function()
          sent = sent + 1
          wrk.headers["x-forwarded-for"] = string.format("2001:db8:0:\(String(round, radix: 16))::%x", sent)
          return wrk.format(nil, nil, nil,
            string.format('{"email":"\(addresses(round))%d@example.com","password":"\(AuthUser.password)"}', sent))
        end
        response = function(status, headers)
          answered = answered + 1
          if answered > \(Self.requests) then return end
          statuses[status] = (statuses[status] or 0) + 1
          if (status == 429 or status == 503) and not (headers["retry-after"] or headers["Retry-After"]) then without = without + 1 end
          if answered == \(Self.requests) then
            for status, count in pairs(statuses) do io.write(string.format("STATUS %d %d\\n", status, count)) end
            io.write(string.format("WITHOUT %d\\nEND\\n", without))
            io.flush()
            wrk.thread:stop()
          end
        end
        """
    }

    /// The beginning of the email addresses of a round.
    private func addresses(_ round: Int) -> String { "flood-\(runID)-\(round)-" }

    // MARK: The tables of auth

    private func accounts(of round: Int) throws -> Int {
        let url = try stack.superuserURL(database: "smartspec")
        return Int(try query(url, "SELECT count(*) FROM auth.users WHERE email LIKE '\(addresses(round))%'")) ?? 0
    }

    /// Waits until auth has sent its mails, so that the pause after a flood does not pay for them.
    private func mailsSent() async throws {
        let url = try stack.superuserURL(database: "smartspec")
        for _ in 0..<100 {
            if try query(url, "SELECT count(*) FROM auth.mail") == "0" { return }
            try await loop.sleep(for: .milliseconds(200))
        }
        throw BenchError(description: "auth does not send its mails")
    }
}
