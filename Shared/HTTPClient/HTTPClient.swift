import Curl
package import EventLoop

/// Every HTTP client call that is not a provider call: libcurl on the loop, with kept connections,
/// proxies from the environment (`https_proxy`, `no_proxy`), and TLS with full checks.
///
/// Callable from any task; libcurl itself runs on `loop` only. About 25 µs a request: providers are
/// called through `UpstreamPool` instead.
package final class HTTPClient: Sendable {
    private let loop: EventLoop
    private let driver: CurlDriver

    /// - Parameter connectionsMax: open connections, idle ones included; further requests wait in
    ///   line within their own timeout.
    package init(loop: EventLoop, connectionsMax: Int = 64) {
        self.loop = loop
        driver = CurlDriver(loop: loop, connectionsMax: connectionsMax)
    }

    deinit { close() }

    /// Closes all connections; what still runs, or comes later, ends with
    /// ``ClientError/Code/closedEarly``.
    package func close() {
        loop.execute { [driver] in driver.close() }
    }

    /// Sends `request` once and waits for the whole answer.
    /// - Throws: ``ClientError``, or `CancellationError` when the calling task is cancelled (the
    ///   transfer is dropped).
    package func request(_ request: ClientRequest) async throws -> ClientResponse {
        try request.check()
        let transfer = CurlTransfer(CurlRequest(request))
        let answer = Promise<ClientResponse>(on: loop)
        loop.execute { [driver] in
            driver.start(transfer) { result in answer.resolve(result.map { ClientResponse($0) }.mapError { ClientError($0) }) }
        }
        do {
            return try await answer.value()
        } catch let error as CancellationError {
            loop.execute { [driver] in driver.abandon(transfer) }
            throw error
        }
    }
}

extension ClientRequest {
    fileprivate func check() throws(ClientError) {
        guard !method.isEmpty, method.utf8.allSatisfy({ (65...90).contains($0) }) else {
            throw ClientError(code: .badRequest, message: "not a method: \(method)")
        }
        for (name, value) in headers {
            let broken =
                name.isEmpty || name.utf8.contains { $0 <= 32 || $0 == 58 || $0 >= 127 } || value.utf8.contains { $0 < 32 && $0 != 9 }
            guard !broken else { throw ClientError(code: .badRequest, message: "header \(name) cannot be sent as one line") }
        }
    }
}

extension CurlRequest {
    fileprivate init(_ request: ClientRequest) {
        var lines = request.headers.map { name, value in value.isEmpty ? "\(name);" : "\(name): \(value)" }
        let given = Set(request.headers.map { $0.name.lowercased() })
        for added in ["accept", "content-type", "expect"] where !given.contains(added) { lines.append("\(added):") }
        self.init(
            url: request.url, content: .http(method: request.method, headerLines: lines, body: request.body), timeout: request.timeout,
            connectTimeout: request.connectTimeout, caFile: request.caFile, responseBytesMax: request.responseBytesMax)
    }
}

extension ClientResponse {
    fileprivate init(_ answer: CurlAnswer) {
        // The last status line begins the answer; 1xx answers stand before it.
        let start = answer.headerLines.lastIndex { $0.hasPrefix("HTTP/") } ?? answer.headerLines.startIndex
        let headers: [(name: String, value: String)] = answer.headerLines[start...].compactMap { line in
            guard !line.hasPrefix("HTTP/"), let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop(while: \.isWhitespace)
            let end = value.lastIndex { !$0.isWhitespace }.map { value.index(after: $0) } ?? value.startIndex
            return (String(line[..<colon]), String(value[..<end]))
        }
        self.init(status: answer.status, headers: headers, body: answer.body)
    }
}

extension ClientError {
    fileprivate init(_ failure: CurlFailure) { self.init(code: Code(failure.code), message: failure.message) }
}

extension ClientError.Code {
    fileprivate init(_ code: CurlFailure.Code) {
        self =
            switch code {
            case .badRequest: .badRequest
            case .connectFailed: .connectFailed
            case .tlsFailed: .tlsFailed
            case .timedOut: .timedOut
            case .tooLarge: .tooLarge
            case .malformed: .malformed
            case .closedEarly, .sendFailed, .loginRefused, .abandoned: .closedEarly
            }
    }
}
