import Crypto
import EventLoop
import HTTP
import Synchronization
import Telemetry
import Values

/// Hashes and checks passwords on a few threads of their own. When more wait than the threads can do in about two seconds, the
/// next one is refused with 503 before any memory is spent on it.
final class Passwords: Sendable {
    private let pool: BlockingPool
    private let hashing: PasswordHashing
    private let masterKey: MasterKey
    /// Checked when there is no such user, so that an unknown address costs what a known one does.
    private let nobody: String
    private let computed: Counter

    init(
        masterKey: MasterKey, hashing: PasswordHashing = .standard, threads: Int = 2, queueMax: Int = 64,
        metrics: Metrics = .shared
    ) {
        self.masterKey = masterKey
        self.hashing = hashing
        computed = metrics.counter("auth_password_hashes_total", help: "Argon2id computations, for known and unknown users alike")
        pool = BlockingPool(name: "argon2", threads: threads, queueMax: queueMax)
        guard let nobody = hashing.hash(randomBytes(16)) else { preconditionFailure("not enough memory for one password hash") }
        self.nobody = nobody
    }

    /// Argon2id computations so far.
    var hashesComputed: Int64 { computed.count }

    /// Returns the sealed hash of a new password, as it is stored.
    func seal(_ password: String, for user: UserID) async throws -> [UInt8] {
        let hash = try await onPool { [hashing] in hashing.hash(Array(password.utf8)) }
        guard let hash else { throw Problem.overloaded(retryAfter: .seconds(2)) }
        return masterKey.seal(Array(hash.utf8), as: Self.context(user))
    }

    enum Verdict: Sendable {
        case wrong
        case right(needsRehash: Bool)
    }

    /// - Parameter stored: nil for an address without an account: the result is `wrong`, after the same work.
    func check(_ password: String, against stored: (userID: UserID, sealed: [UInt8])?) async throws -> Verdict {
        let hash: String?
        if let stored {
            hash = String(decoding: try masterKey.open(stored.sealed, as: Self.context(stored.userID)), as: UTF8.self)
        } else {
            hash = nil
        }
        let candidate = hash ?? nobody
        let isRight = try await onPool { [hashing] in hashing.verify(Array(password.utf8), against: candidate) }
        guard isRight, let hash else { return .wrong }
        return .right(needsRehash: hashing.needsRehash(hash))
    }

    private func onPool<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws -> Value {
        do {
            let value = try await pool.run(body)
            computed.add()
            return value
        } catch is BlockingPool.Overloaded {
            throw Problem.overloaded(retryAfter: .seconds(2))
        }
    }

    private static func context(_ user: UserID) -> String { "password/\(user)" }
}
