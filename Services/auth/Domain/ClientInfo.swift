/// The address and the program of a client, as they are recorded.
struct ClientInfo: Sendable, Equatable {
    var address: String?
    /// The network whose attempts are counted together: an IPv4 address or an IPv6 /64.
    var network: String?
    var userAgent: String?
    /// The cookie of a browser from which an account signed in before. It may be forged.
    var browser: BrowserCookie?

    /// The service itself, without a client.
    static let itself = ClientInfo()
}
