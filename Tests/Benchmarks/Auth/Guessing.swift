import EventLoop
import HTTPWire

/// Guesses the password of one account, once a second, from a network that changes every ten seconds.
/// Meanwhile the owner signs in from a network with a live session, from a browser that signed in before
/// and now shares the network of the guesser, and from a place that is new each time.
struct Guessing {
    let stack: BenchStack
    let loop: EventLoop
    let seconds: Int

    private static let networkSeconds = 10
    /// The owner's sign-ins, evenly over the whole time.
    private static let visits = 10

    func run() async throws {
        print(
            """

            ### Guessing one account's password

            One wrong password a second for \(seconds) s, from another network every \(Self.networkSeconds) s. The owner signs in ten \
            times: once from a network with a live session, once from a known browser in the network of the guesser, and from a new \
            place until it succeeds. "Guesses" are those until then, by their status.

            """)
        let client = try ServiceClient(try stack.service("auth"), on: loop)
        let owner = try await client.register()
        let browser = try await browser(of: owner, client)
        let guesser = Guesser(client, owner.email, loop)
        var table = Table(header: ["after s", "guesses 401", "429", "known network", "ms", "known browser", "ms", "new place", "s"])
        let begun = MonotonicInstant.current()
        let guesses = Task(executorPreference: loop) { try await guesser.run(seconds: seconds, each: Self.networkSeconds) }
        for visit in 1...Self.visits {
            let due = begun + .seconds(seconds) * visit / Self.visits
            try await loop.sleep(for: max(.zero, due - .current()))
            let row = ["\(seconds * visit / Self.visits)", "\(guesser.wrong)", "\(guesser.throttled)"]
            let known = try await client.login(owner.email, from: owner.network)
            let sameNetwork = try await client.login(owner.email, from: guesser.network, with: browser)
            let new = try await visitNewPlace(owner, client)
            table.rows.append(
                row + [known, sameNetwork].flatMap { ["\($0.status)", rounded($0.milliseconds, 0)] } + [
                    new.statuses, rounded(new.seconds, 1),
                ])
        }
        try await guesses.value
        table.print()
        if guesser.other > 0 { print("\n\(guesser.other) guesses were answered with another status.") }
    }

    /// Signs in by the form of the page.
    /// - Returns: the header by which auth knows the browser again.
    private func browser(of owner: AuthUser, _ client: ServiceClient) async throws -> HeaderBlock {
        let form = "email=\(owner.email)&password=\(AuthUser.password.replacing(" ", with: "+"))"
        let answer = try await client.send(
            "POST", "/login", form, from: owner.network,
            with: ["content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"])
        guard let cookie = answer.headers.strings(for: "set-cookie").first(where: { $0.hasPrefix("browser=") }) else {
            throw BenchError(description: "/login: \(answer.status), and no cookie of the browser")
        }
        return ["cookie": String(cookie.prefix { $0 != ";" })]
    }

    /// Signs in from a network without attempts, and waits as long as auth asks.
    private func visitNewPlace(_ owner: AuthUser, _ client: ServiceClient) async throws -> (statuses: String, seconds: Double) {
        let network = ClientNetwork.next()
        let begun = MonotonicInstant.current()
        var statuses: [String] = []
        while statuses.count < 10 {
            let answer = try await client.login(owner.email, from: network)
            statuses.append("\(answer.status)" + (answer.retryAfter.map { " (retry after \($0) s)" } ?? ""))
            guard answer.status == 429, let wait = answer.retryAfter else { break }
            try await loop.sleep(for: .seconds(wait))
        }
        return (statuses.joined(separator: ", "), (MonotonicInstant.current() - begun) / .seconds(1))
    }
}

private final class Guesser: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`.
    private let client: ServiceClient
    private let email: String
    private let loop: EventLoop
    private(set) var network = ClientNetwork.next()
    private(set) var wrong = 0
    private(set) var throttled = 0
    private(set) var other = 0

    init(_ client: ServiceClient, _ email: String, _ loop: EventLoop) { (self.client, self.email, self.loop) = (client, email, loop) }

    func run(seconds: Int, each networkSeconds: Int) async throws {
        let begun = MonotonicInstant.current()
        for second in 0..<seconds {
            if second % networkSeconds == 0 { network = ClientNetwork.next() }
            try await loop.sleep(for: max(.zero, begun + .seconds(second) - .current()))
            switch try await client.login(email, "a guess of \(second)", from: network).status {
            case 401: wrong += 1
            case 429: throttled += 1
            default: other += 1
            }
        }
    }
}
