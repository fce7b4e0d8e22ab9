import Configuration
import Curl
import EventLoop
import Synchronization

/// Hands messages to one mail server (RFC 5321), each over a connection of its own.
///
/// libcurl waits inside one call for the reply to a message and to QUIT, also in its multi
/// interface (curl issue 8555). A server may take seconds for a reply, so threads of this client
/// wait, never a loop.
package final class SMTPClient: Sendable {
    package static let threads = 4
    /// Messages that wait for a thread. One more is ``Deferral/overloaded``.
    package static let waitingMax = 256

    private let configuration: SMTPConfiguration
    private let pool = BlockingPool(name: "smtp", threads: SMTPClient.threads, queueMax: SMTPClient.waitingMax)

    package init(_ configuration: SMTPConfiguration) { self.configuration = configuration }

    /// The end of one attempt.
    package enum Outcome: Hashable, Sendable {
        /// The server has taken the message over.
        case accepted(reply: Int)
        /// The server refused sender, recipient or content for ever (5xx). The same message must
        /// not be sent again.
        case rejected(reply: Int)
        /// The message may be sent again later. After `.timeout` and `.connectionLost` the server
        /// may have it all the same; a second attempt has the same `Message-ID`.
        case deferred(Deferral)
    }

    package enum Deferral: Hashable, Sendable {
        /// The server refused for now (4xx), or refused the session and not the message.
        case reply(Int)
        /// The name was not found, or no server listens there.
        case unreachable
        /// The server has no valid certificate for its name, or offers no STARTTLS where it is
        /// required.
        case insecure
        /// The server refused user and password.
        case loginRefused
        case timeout
        /// The connection ended early, or the server broke the rules of SMTP.
        case connectionLost
        /// Too many messages wait for a thread.
        case overloaded
    }

    /// Sends one message, once. The deadline of the configuration counts from the call, the wait
    /// for a thread included. libcurl may notice it one second late.
    /// - Throws: `CancellationError` in a cancelled task, within about a second. The server may
    ///   have the message then.
    package func send(_ message: MailMessage) async throws -> Outcome {
        let deadline = MonotonicInstant.current() + configuration.timeout
        let cancellation = Cancellation()
        let outcome: Outcome = try await withTaskCancellationHandler {
            do {
                return try await pool.run { [configuration] in
                    let left = deadline - .current()
                    guard left > .zero, !cancellation.isSet else { return .deferred(.timeout) }
                    let transfer = CurlTransfer(configuration.request(message, within: left))
                    return Outcome(transfer.perform { cancellation.isSet || MonotonicInstant.current() >= deadline })
                }
            } catch is BlockingPool.Overloaded {
                return .deferred(.overloaded)
            }
        } onCancel: {
            cancellation.set()
        }
        if case .deferred(.timeout) = outcome { try Task.checkCancellation() }
        return outcome
    }
}

private final class Cancellation: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
}

extension SMTPConfiguration {
    fileprivate func request(_ message: MailMessage, within limit: Duration) -> CurlRequest {
        let login = login.map { (user: $0.user, password: $0.password.reveal()) }
        let mail = CurlRequest.Mail(
            sender: sender.address, recipient: message.recipient, message: message.bytes(from: sender), login: login,
            requiresSTARTTLS: security == .startTLS)
        let host = host.contains(":") ? "[\(host)]" : host
        return CurlRequest(
            // libcurl sends the path as the name of this client in EHLO.
            url: "\(security == .implicitTLS ? "smtps" : "smtp")://\(host):\(port)/\(sender.domain)", content: .mail(mail),
            timeout: limit, connectTimeout: connectTimeout, caFile: caFile, responseBytesMax: 64 << 10)
    }
}

extension SMTPClient.Outcome {
    fileprivate init(_ result: Result<CurlAnswer, CurlFailure>) {
        switch result {
        case .success(let answer): self = .accepted(reply: answer.status)
        case .failure(let failure): self.init(failure)
        }
    }

    private init(_ failure: CurlFailure) {
        let isRefusal = (400...599).contains(failure.status)
        self =
            switch failure.code {
            case .connectFailed: .deferred(.unreachable)
            case .tlsFailed: .deferred(.insecure)
            case .loginRefused: .deferred(.loginRefused)
            case .timedOut, .abandoned: .deferred(.timeout)
            // MAIL, RCPT or DATA was refused, or the message itself.
            case .sendFailed where isRefusal, .malformed where isRefusal && failure.isMessageSent: Self.refused(failure.status)
            // The greeting or EHLO was refused.
            case .malformed where isRefusal: .deferred(.reply(failure.status))
            case .badRequest, .sendFailed, .closedEarly, .malformed, .tooLarge: .deferred(.connectionLost)
            }
    }

    /// Decides by the reply code (RFC 5321 §4.2.1). 530 asks for a login or for TLS first (RFC 3207
    /// §4, RFC 4954 §6), which the operator can mend.
    private static func refused(_ reply: Int) -> Self {
        reply < 500 || reply == 530 ? .deferred(.reply(reply)) : .rejected(reply: reply)
    }
}
