import Crypto
import EventLoop
import Jobs
import Synchronization
import Telemetry
import Values

/// Hashes and checks passwords on threads of their own. When more wait than the threads can do in
/// about two seconds, the next one is refused before any memory is spent on it.
///
/// New users have a thread and a queue of their own, so that a flood of registrations does not keep
/// users from signing in.
final class Passwords: Sendable {
    private let pool: BlockingPool
    private let registrationPool: BlockingPool
    private let hashing: PasswordHashing
    private let masterKeys: MasterKeyRing
    /// Checked when there is no such user, so that an unknown address costs what a known one does.
    private let decoy: (userID: UserID, sealed: [UInt8])
    private let computed: Counter

    init(
        masterKeys: MasterKeyRing, hashing: PasswordHashing = .standard, threads: Int = 2, queueMax: Int = 64,
        metrics: Metrics = .shared
    ) {
        self.masterKeys = masterKeys
        self.hashing = hashing
        computed = metrics.counter("auth_password_hashes_total", help: "Argon2id computations, for known and unknown users alike")
        pool = BlockingPool(name: "argon2", threads: threads, queueMax: queueMax)
        registrationPool = BlockingPool(name: "argon2-new", threads: 1, queueMax: queueMax / 2)
        guard let hash = hashing.hash(randomBytes(16)) else { preconditionFailure("not enough memory for one password hash") }
        let id = UserID.make()
        decoy = (id, masterKeys.seal(Array(hash.utf8), as: Self.context(id)))
    }

    /// Argon2id computations so far.
    var hashesComputed: Int64 { computed.count }

    /// Too many passwords wait. Another attempt in two seconds may succeed.
    struct Overloaded: Error {}

    /// Returns the sealed hash of a new password, as it is stored.
    /// - Throws: ``Overloaded``.
    func seal(_ password: String, for user: UserID) async throws -> [UInt8] {
        try await seal(password, for: user, on: pool)
    }

    /// Returns the sealed hash of the password of a new user.
    /// - Throws: ``Overloaded``.
    func sealFirst(_ password: String, of user: UserID) async throws -> [UInt8] {
        try await seal(password, for: user, on: registrationPool)
    }

    private func seal(_ password: String, for user: UserID, on pool: BlockingPool) async throws -> [UInt8] {
        let hash = try await compute(on: pool) { [hashing] in hashing.hash(Array(password.utf8)) }
        guard let hash else { throw Overloaded() }
        return masterKeys.seal(Array(hash.utf8), as: Self.context(user))
    }

    enum Verdict: Sendable {
        case wrong
        case right(needsRehash: Bool)
    }

    /// - Parameter stored: nil for an address without an account: the result is `wrong`, after the same work.
    func check(_ password: String, against stored: (userID: UserID, sealed: [UInt8])?) async throws -> Verdict {
        let (userID, sealed) = stored ?? decoy
        let hash = String(decoding: try masterKeys.open(sealed, as: Self.context(userID)), as: UTF8.self)
        let isRight = try await compute(on: pool) { [hashing] in hashing.verify(Array(password.utf8), against: hash) }
        guard isRight, stored != nil else { return .wrong }
        return .right(needsRehash: hashing.needsRehash(hash))
    }

    /// The id of the key that seals now.
    var sealingKeyID: [UInt8] { masterKeys.ids[0] }

    /// Seals a hash again, with the current key.
    func reseal(_ sealed: [UInt8], of user: UserID) throws(PasswordUnusable) -> [UInt8] {
        do throws(MasterKey.Failure) {
            return masterKeys.seal(try masterKeys.open(sealed, as: Self.context(user)), as: Self.context(user))
        } catch {
            throw PasswordUnusable(userID: user, cause: error)
        }
    }

    private func compute<Value: Sendable>(
        on pool: BlockingPool, _ body: @escaping @Sendable () -> Value
    ) async throws -> Value {
        do {
            let value = try await pool.run(body)
            computed.add()
            return value
        } catch is BlockingPool.Overloaded {
            throw Overloaded()
        }
    }

    private static func context(_ user: UserID) -> String { "password/\(user)" }
}

/// A password hash that no key of the ring has sealed. No retry makes it usable.
struct PasswordUnusable: JobEndingError, CustomStringConvertible {
    let userID: UserID
    let cause: MasterKey.Failure
    var description: String { "the password hash of user \(userID) does not open with MASTER_KEY: \(cause)" }
}
