import Crypto
import Jobs
import Telemetry
import TestSupport
import Testing

@testable import Auth

@Suite(.authDatabase, .serialized) struct ResealPasswordsTests {
    private func useCases(_ auth: AuthUnderTest, _ ring: String) throws -> UseCases {
        let settings = try AuthUnderTest.settings(["MASTER_KEY": ring])
        let passwords = Passwords(
            masterKeys: settings.masterKeys, hashing: PasswordHashing(passes: 1, memoryKiB: 64), metrics: Metrics())
        return UseCases(
            pool: auth.pool, settings: settings, passwords: passwords, publicURL: AuthUnderTest.publicURL, metrics: Metrics(),
            log: AuthUnderTest.log, clock: { auth.clock.now })
    }

    private func signIn(_ useCases: UseCases, _ email: String) async throws -> Bool {
        try await useCases.keyring.refresh()
        let outcome = try await useCases.accounts.signIn(email: email, password: AuthUnderTest.password, client: .itself)
        if case .signedIn = outcome { return true }
        return false
    }

    @Test func `after a change of the master key everything is sealed with the new one`() async throws {
        try await AuthUnderTest.with { auth in
            var emails: [String] = []
            for _ in 0..<130 { emails.append(try await auth.register().email) }
            let new = "2:\(Base64.standard.encode([UInt8](repeating: 9, count: 32)))"
            let both = try useCases(auth, "\(new),\(AuthUnderTest.masterKeyText)")
            #expect(try await signIn(both, emails[0]))
            #expect(try await both.accounts.resealPasswords() == 130)
            #expect(try await both.accounts.resealPasswords() == 0)
            #expect(try await both.keyring.reseal() == 2)
            #expect(try await both.keyring.reseal() == 0)
            #expect(try await signIn(both, emails[129]))
            await #expect(throws: PasswordUnusable.self) {
                try await useCases(auth, AuthUnderTest.masterKeyText).accounts.resealPasswords()
            }
            let newOnly = try useCases(auth, new)
            #expect(try await newOnly.accounts.resealPasswords() == 0)
            #expect(try await signIn(newOnly, emails[1]))
        }
    }
}
