import COpenSSLTLS
import Glibc

/// The settings that TLS client connections share: trusted authorities, TLS 1.2 or later, ALPN `http/1.1`, full chain check.
///
/// Costs a few milliseconds and tens of kilobytes: make one a process and trust set, not one a connection.
package final class TLSClientContext: @unchecked Sendable {
    // @unchecked Sendable: an SSL_CTX may be shared between threads once it is configured (openssl-threads(7)); nothing here
    // changes it after the initialiser.
    private let raw: OpaquePointer

    /// - Parameter caFile: PEM file trusted besides the system's authorities.
    package init(caFile: String? = nil) throws(TLSError) {
        // OpenSSL writes to the socket without MSG_NOSIGNAL; a peer that is gone must be an error, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        guard let raw = SSL_CTX_new(TLS_client_method()) else { throw .library() }
        self.raw = raw
        var configured = ctls_set_minimum_version_1_2(raw) == 1 && SSL_CTX_set_default_verify_paths(raw) == 1
        ctls_set_modes(raw)
        SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nil)
        let protocols: [UInt8] = [8] + Array("http/1.1".utf8)
        configured = configured && SSL_CTX_set_alpn_protos(raw, protocols, UInt32(protocols.count)) == 0
        if let caFile { configured = configured && SSL_CTX_load_verify_locations(raw, caFile, nil) == 1 }
        guard configured else { throw .library() }
    }

    deinit { SSL_CTX_free(raw) }

    /// A session over a connected, non-blocking socket, which stays the caller's to close.
    /// - Parameter host: what the certificate must be for: a DNS name (also sent as SNI) or an IP address.
    package func session(over descriptor: Int32, host: String) throws(TLSError) -> TLSSession {
        guard let ssl = SSL_new(raw) else { throw .library() }
        let session = TLSSession(ssl)
        let isAddress = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1
        var configured = SSL_set_fd(ssl, descriptor) == 1
        if !isAddress {
            SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            configured = configured && SSL_set1_host(ssl, host) == 1 && ctls_set_server_name(ssl, host) == 1
        }
        guard configured else { throw .library() }
        SSL_set_connect_state(ssl)
        return session
    }
}

/// Why there is no protected connection, in OpenSSL's words.
package struct TLSError: Error, Sendable, CustomStringConvertible {
    package let description: String

    static func library() -> TLSError {
        let code = ERR_peek_last_error()
        ERR_clear_error()
        return TLSError(description: ERR_reason_error_string(code).map { String(cString: $0) } ?? "TLS error \(code)")
    }
}
