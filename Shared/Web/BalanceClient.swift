package import AMQP
import Contracts
import Messaging
package import Telemetry
package import Values

/// Asks the ledger for the balance that a page shows.
package struct BalanceClient: Sendable {
    private let rpc: RPCClient
    private let log: Logger

    package init(rpc: RPCClient, log: Logger) { (self.rpc, self.log) = (rpc, log) }

    /// Nil when the ledger does not answer within half a second: a page is worth showing without it.
    package func balance(of account: AccountID) async -> Balance? {
        do {
            return Balance(try await rpc.ask(QueryBalance(accountID: account), for: BalanceReply.self, within: .milliseconds(500)))
        } catch {
            log.warning("balance lookup failed", ["user.id": .describing(account)], error: error)
            return nil
        }
    }
}
