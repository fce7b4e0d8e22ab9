import Postgres
import Values

extension Accounts {
    /// Seals again, with the current master key, every password hash that an older key has sealed.
    ///
    /// Afterwards the older key opens nothing but refresh tokens. A run that ends early is continued
    /// by the next one.
    /// - Returns: the number of hashes.
    func resealPasswords() async throws -> Int {
        var count = 0
        while true {
            let resealed = try await pool.transaction { transaction in
                let found = try await transaction.query(LockForeignPasswords(keyID: passwords.sealingKeyID))
                for row in found {
                    let sealed = try passwords.reseal(row.sealed, of: row.userID)
                    try await transaction.execute(PutPassword(userID: row.userID, sealed: sealed, now: clock()))
                }
                return found.count
            }
            count += resealed
            if resealed < LockForeignPasswords.countMax { return count }
        }
    }
}
