import Bootstrap
import Identity
import Postgres
import Values

/// `auth rotate-signing-key`: the standby key signs from now on. Tokens of the key before it stay valid.
/// Replicas sign with the new key within half a minute. Status 0: done; 1: the standby key is too new,
/// so that a verifier may not know it yet.
let rotateSigningKeyCommand = Runtime.Command("rotate-signing-key", parameters: "[--now]", statusOfFailure: 2) { runtime, arguments in
    guard arguments.isEmpty || arguments == ["--now"] else { return nil }
    let settings = try AuthSettings(runtime.environment)
    let pool = try runtime.database(connectionsMax: 1)
    let keyring = SigningKeyring(pool: pool, masterKeys: settings.masterKeys, tokenLife: settings.tokenLife, log: runtime.log)
    let outcome = try await keyring.rotate(isForced: arguments == ["--now"], now: .now())
    await pool.close()
    switch outcome {
    case .rotated(let id):
        print("rotated: \(id) signs from now on")
        return 0
    case .tooNew(let readyAt):
        print("refused: the standby key may be unknown to verifiers until \(readyAt); use --now if the current key leaked")
        return 1
    }
}
