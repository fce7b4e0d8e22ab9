/// The address and the program of a client, as they are recorded.
struct ClientInfo: Sendable, Equatable {
    var address: String?
    /// The network whose attempts are counted together: an IPv4 address or an IPv6 /64.
    var network: String?
    var userAgent: String?

    /// The service itself, without a client.
    static let itself = ClientInfo()
}
