import COpenSSLTLS
import Glibc

/// One TLS connection over a non-blocking socket. Confined to the loop that owns the socket.
///
/// Every call may answer that it must wait for the socket; the *same* call is then repeated. Reading may have to write and
/// the other way round, so the direction to wait for is in the answer.
package final class TLSSession {
    package enum Outcome: Sendable {
        /// How many bytes were moved; 0 from ``handshake()`` means it is done.
        case bytes(Int)
        case wantsReadable
        case wantsWritable
        /// The peer said that nothing follows (close_notify): the only clean end.
        case ended
        /// Includes a TCP end without close_notify, which an attacker can forge.
        case failed(TLSError)
    }

    private let ssl: OpaquePointer
    private var isBroken = false

    init(_ ssl: OpaquePointer) { self.ssl = ssl }

    deinit { SSL_free(ssl) }

    /// Fails when the certificate chain does not end at a trusted authority, is out of date, or names another host.
    package func handshake() -> Outcome {
        ERR_clear_error()
        let status = SSL_do_handshake(ssl)
        return status == 1 ? .bytes(0) : outcome(of: status)
    }

    /// At most one record (16 KiB) a call.
    package func read(into buffer: UnsafeMutableRawBufferPointer) -> Outcome {
        ERR_clear_error()
        var count = 0
        let status = SSL_read_ex(ssl, buffer.baseAddress!, buffer.count, &count)
        return status == 1 ? .bytes(count) : outcome(of: status)
    }

    package func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        ERR_clear_error()
        var count = 0
        let status = SSL_write_ex(ssl, bytes.baseAddress!, bytes.count, &count)
        return status == 1 ? .bytes(count) : outcome(of: status)
    }

    /// Decrypted bytes that ``read(into:)`` gives without the socket: epoll knows nothing of them.
    package var pending: Int { Int(SSL_pending(ssl)) }

    /// The encrypted bytes that the kernel took so far, the handshake's included.
    package var bytesWritten: Int { Int(BIO_number_written(SSL_get_wbio(ssl))) }

    /// Sends close_notify if the socket takes it now.
    package func sayGoodbye() {
        guard !isBroken else { return }
        ERR_clear_error()
        SSL_shutdown(ssl)
        ERR_clear_error()
    }

    private func outcome(of status: Int32) -> Outcome {
        let cause = errno
        switch SSL_get_error(ssl, status) {
        case SSL_ERROR_WANT_READ: return .wantsReadable
        case SSL_ERROR_WANT_WRITE: return .wantsWritable
        case SSL_ERROR_ZERO_RETURN: return .ended
        case SSL_ERROR_SYSCALL:
            isBroken = true
            return .failed(TLSError(description: cause == 0 ? "the peer closed the connection" : String(cString: strerror(cause))))
        default:
            isBroken = true
            let verdict = SSL_get_verify_result(ssl)
            guard verdict == X509_V_OK else {
                ERR_clear_error()
                return .failed(TLSError(description: String(cString: X509_verify_cert_error_string(verdict))))
            }
            return .failed(.library())
        }
    }
}
