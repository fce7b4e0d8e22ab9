import CRabbitMQ
import EventLoop
import Glibc

/// The transport that frames are written to: a socket, or the TLS session librabbitmq has made on it. Never blocks. Confined to the connection's
/// thread; valid as long as librabbitmq's connection.
struct Transport {
    let socket: Int32
    var tls: OpaquePointer?

    /// Looks up the host and connects, each within the configured time. The peer of `amqps` has
    /// proved its name.
    ///
    /// librabbitmq takes one text as the address and as the name that the peer must prove. With
    /// `amqps` it therefore looks the name up once more, without a limit of ours.
    init(
        _ connection: amqp_connection_state_t, _ configuration: AMQPConfiguration, _ host: AMQPConfiguration.Host
    ) throws(ConnectionFailure) {
        let until = MonotonicInstant.current() + configuration.connectWithin * 2
        let addresses = try HostAddresses.find(host, within: configuration.connectWithin)
        guard let raw = configuration.usesTLS ? amqp_ssl_socket_new(connection) : amqp_tcp_socket_new(connection) else {
            throw ConnectionFailure(kind: .connectFailed, description: "out of memory")
        }
        var status = AMQP_STATUS_TIMEOUT.rawValue
        for name in configuration.usesTLS ? [host.name] : addresses where status != AMQP_STATUS_OK.rawValue {
            let limit = Int(min(configuration.connectWithin, until - .current()).milliseconds)
            guard limit > 0 else { break }
            status =
                configuration.usesTLS
                ? crabbitmq_open_tls(raw, name, Int32(host.port), limit, configuration.certificateAuthorities, &tls)
                : crabbitmq_open(raw, name, Int32(host.port), limit)
        }
        guard status == AMQP_STATUS_OK.rawValue else {
            throw ConnectionFailure(
                kind: .connectFailed, description: "connect \(host.name):\(host.port): \(String(cString: amqp_error_string2(status)))")
        }
        socket = amqp_get_sockfd(connection)
        bound(stallWithin: configuration.stallWithin)
    }

    /// A peer that has gone must not hold us: neither while we send nor while we only listen.
    private func bound(stallWithin: Duration) {
        func set(_ level: Int32, _ option: Int32, _ value: Int32) {
            var value = value
            setsockopt(socket, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
        }
        let tcp = Int32(IPPROTO_TCP)
        set(tcp, TCP_USER_TIMEOUT, Int32(stallWithin.milliseconds))
        set(tcp, TCP_NODELAY, 1)
        set(SOL_SOCKET, SO_KEEPALIVE, 1)
        set(tcp, TCP_KEEPIDLE, 5)
        set(tcp, TCP_KEEPINTVL, 5)
        set(tcp, TCP_KEEPCNT, 3)
    }

    /// - Returns: how many bytes were taken; 0 when there is no room now.
    func send(_ bytes: UnsafeRawBufferPointer) throws(ConnectionFailure) -> Int {
        if let tls {
            let count = crabbitmq_tls_send(tls, bytes.baseAddress, bytes.count)
            guard count >= 0 else { throw ConnectionFailure(kind: .socket, description: "send: TLS failed") }
            return count
        }
        while true {
            let count = Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            if count >= 0 { return count }
            if errno == EAGAIN { return 0 }
            guard errno == EINTR else {
                throw ConnectionFailure(kind: .socket, description: "send: \(String(cString: strerror(errno)))")
            }
        }
    }
}
