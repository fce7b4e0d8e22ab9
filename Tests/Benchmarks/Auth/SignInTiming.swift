import EventLoop
import Foundation

/// Compares the times of sign-ins that fail: at an account that exists, at an address without an
/// account, and at a deactivated account. An attacker must not learn from the times which address has
/// an account.
///
/// Sign-ins are sent one at a time over one connection, in an order drawn at random. The password is the
/// same. Each sign-in comes from a network of its own and each account gets ten, so that no throttle
/// delays one.
struct SignInTiming {
    let stack: BenchStack
    let loop: EventLoop
    /// The sign-ins of each group.
    let tries: Int

    private static let triesOfAccount = 10
    private static let warmUp = 50

    private enum Group: String, CaseIterable {
        case known = "account"
        case unknown = "no account"
        case deactivated = "deactivated account"
    }

    private struct Try {
        var group: Group
        var email: String
        /// The half of its group, for the control.
        var half: Int
    }

    func run() async throws {
        print(
            """

            ### Failed sign-ins at accounts that exist and at others

            \(tries) sign-ins of each group, one at a time, in random order, with the same wrong password.

            """)
        let client = try ServiceClient(try stack.service("auth"), on: loop)
        let order = try await order(client)
        print("")
        for attempt in order.prefix(Self.warmUp) { _ = try await Self.fail(attempt, client) }
        var times: [Group: [[Double]]] = [:]
        var answers: [String: Int] = [:]
        for attempt in order {
            let answer = try await Self.fail(attempt, client)
            times[attempt.group, default: [[], []]][attempt.half].append(answer.milliseconds)
            answers["\(answer.status) of \(answer.body.count) bytes", default: 0] += 1
        }
        report(times, answers)
    }

    private static func fail(_ attempt: Try, _ client: ServiceClient) async throws -> ServiceClient.Answer {
        try await client.login(attempt.email, "a wrong password", from: ClientNetwork.next())
    }

    /// Makes the accounts, and returns the sign-ins in the order in which they are sent.
    private func order(_ client: ServiceClient) async throws -> [Try] {
        let count = (tries + Self.triesOfAccount - 1) / Self.triesOfAccount
        let known = try await client.register(count)
        let deactivated = try await client.register(count)
        // Addresses of the same length.
        let unknown = (0..<count).map { _ in AuthUser.newAddress() }
        let admin = try stack.admin
        let token = try await client.session(of: admin.email, admin.password, from: ClientNetwork.next())
        for user in deactivated { _ = try await client.ask("POST", "/api/admin/users/\(user.id)/deactivate", token: token) }
        let emails: [(Group, [String])] = [
            (.known, known.map(\.email)), (.unknown, unknown), (.deactivated, deactivated.map(\.email)),
        ]
        var random = SplitMix64(seed: drawSeed())
        var order: [Try] = []
        for (group, emails) in emails {
            for index in 0..<tries { order.append(Try(group: group, email: emails[index % count], half: index % 2)) }
        }
        order.shuffle(using: &random)
        return order
    }

    private func report(_ times: [Group: [[Double]]], _ answers: [String: Int]) {
        func all(_ group: Group) -> [Double] { times[group]?.flatMap { $0 } ?? [] }
        var table = Table(header: ["sign-ins at", "tries", "median ms", "mean ms", "p10 ms", "p90 ms"])
        for group in Group.allCases {
            let times = all(group)
            table.rows.append([
                group.rawValue, "\(times.count)", rounded(times.median, 3), rounded(times.mean, 3), rounded(times.percentile(10), 3),
                rounded(times.percentile(90), 3),
            ])
        }
        table.print()
        let halves = times[.known] ?? [[], []]
        let pairs: [(String, [Double], [Double])] = [
            ("account and no account", all(.known), all(.unknown)),
            ("account and deactivated account", all(.known), all(.deactivated)),
            ("control: two halves of the accounts", halves[0], halves[1]),
        ]
        var tests = Table(header: ["compared", "difference of medians µs", "Mann–Whitney z", "p", "Welch t", "distinguishable at 1 %"])
        for (name, first, second) in pairs {
            let test = TwoSampleTest(first, second)
            tests.rows.append([
                name, rounded((first.median - second.median) * 1_000, 0), rounded(test.z), rounded(test.p, 3), rounded(test.t),
                abs(test.z) > TwoSampleTest.onePercent ? "yes" : "no",
            ])
        }
        print("")
        tests.print()
        let texts = answers.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
        print("\nAnswers: \(texts.joined(separator: ", ")).")
    }
}
