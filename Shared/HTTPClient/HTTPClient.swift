package import EventLoop

/// Every HTTP client call that is not a provider call: libcurl on the loop, with kept connections, proxies from the environment
/// (`https_proxy`, `no_proxy`), and TLS with full checks.
///
/// Callable from any task; libcurl itself runs on `loop` only. About 25 µs a request: providers are called through
/// `UpstreamPool` instead.
package final class HTTPClient: Sendable {
    private let loop: EventLoop
    private let driver: CurlDriver

    /// - Parameter connectionsMax: open connections, idle ones included; further requests wait in line within their own timeout.
    package init(loop: EventLoop, connectionsMax: Int = 64) {
        self.loop = loop
        driver = CurlDriver(loop: loop, connectionsMax: connectionsMax)
    }

    deinit { close() }

    /// Closes all connections; what still runs, or comes later, ends with ``ClientError/Code/closedEarly``.
    package func close() {
        loop.execute { [driver] in driver.close() }
    }

    /// Sends `request` once and waits for the whole answer.
    /// - Throws: ``ClientError``, or `CancellationError` when the calling task is cancelled (the transfer is dropped).
    package func request(_ request: ClientRequest) async throws -> ClientResponse {
        let transfer = try CurlTransfer(request, answer: Promise<ClientResponse>(on: loop))
        loop.execute { [driver] in driver.start(transfer) }
        do {
            return try await transfer.answer.value()
        } catch let error as CancellationError {
            loop.execute { [driver] in driver.abandon(transfer) }
            throw error
        }
    }
}
