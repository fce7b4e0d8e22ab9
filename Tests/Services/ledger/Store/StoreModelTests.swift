import Contracts
import Postgres

struct LetExpire: Statement {
    let charge: ChargeID
    static let sql = "UPDATE open_hold SET expires_at = clock_timestamp() WHERE charge_id = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(charge) }
}
