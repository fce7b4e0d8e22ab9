import Configuration
import Contracts
import EventLoop
import Identity
import Synchronization
import Telemetry

/// Keeps signing keys and the first administrator as they should be: at the start as soon as the database is there, then every
/// half minute.
final class KeyCare: Sendable {
    private let keyring: SigningKeyring
    private let accounts: Accounts
    private let admin: (email: EmailAddress, password: Secret)?
    private let log: Logger
    private let ready = Atomic(false)

    init(keyring: SigningKeyring, accounts: Accounts, admin: (email: EmailAddress, password: Secret)?, log: Logger) {
        self.keyring = keyring
        self.accounts = accounts
        self.admin = admin
        self.log = log
    }

    /// True once tokens can be signed and the administrator can sign in.
    var isReady: Bool { ready.load(ordering: .relaxed) }

    func run() async throws {
        var hasAdmin = admin == nil
        while true {
            var isDone = false
            do {
                try await keyring.refresh(now: accounts.clock())
                if !hasAdmin, let admin {
                    if try await accounts.bootstrapAdmin(email: admin.email, password: admin.password.reveal()) {
                        log.info("first administrator created", ["email": .string(admin.email.text)])
                    }
                    hasAdmin = true
                }
                try await accounts.sweep()
                isDone = true
                ready.store(true, ordering: .relaxed)
            } catch let error as KeyUnusable {
                // No retry makes it usable: an operator gave another MASTER_KEY than the one the database was sealed with.
                throw error
            } catch {
                log.warning("signing key upkeep failed", error: error)
            }
            try await EventLoop.current?.sleep(for: isDone ? .seconds(30) : .seconds(1))
        }
    }
}

/// Tells this process's own authenticator of what was just committed, before the event has gone round the broker.
final class LocalRevocations: Sendable {
    private let state = Mutex<Authenticator?>(nil)

    var listener: Authenticator? {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }

    func tell(_ session: SessionRevoked) { listener?.revoke(session) }
    func tell(_ key: APIKeyRevoked) { listener?.revoke(key) }
}
