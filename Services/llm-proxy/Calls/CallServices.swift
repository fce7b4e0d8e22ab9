import Contracts

/// The state that the loops of one replica share.
struct ReplicaState: Sendable {
    let funds = FundsLines()
    let watch = ProviderWatch()
    let operations = Operations()
    /// The time for which the gateway keeps a provider's call after a client hung up before the
    /// answer began.
    var listensFor = Duration.seconds(10)
}
