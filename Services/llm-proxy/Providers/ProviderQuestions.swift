import EventLoop
import HTTPWire
import UpstreamClient

/// The answers of providers in one piece, to requests that cost nothing.
extension ProviderConnections {
    /// Collects a success in one piece.
    func collect(
        _ answer: UpstreamResponse, _ adapter: any ProviderAdapter, upTo bytesMax: Int, within time: Duration
    ) async throws(ProviderFailure) -> [UInt8] {
        let patience = loop.schedule(after: time) { answer.cancel() }
        defer { loop.cancel(patience) }
        do throws(UpstreamError) { try await answer.head() } catch { throw ProviderFailure(error) }
        guard (200..<300).contains(answer.status) else { throw await adapter.failure(of: answer, on: loop) }
        do throws(UpstreamError) {
            return try await answer.collect(upTo: bytesMax)
        } catch {
            throw ProviderFailure(error)
        }
    }
}

extension ProviderAdapter {
    /// Reads an answer that is no success, up to 64 KiB and for 10 s.
    func failure(of answer: UpstreamResponse, on loop: EventLoop) async -> ProviderFailure {
        let patience = loop.schedule(after: .seconds(10)) { answer.cancel() }
        defer { loop.cancel(patience) }
        let body = (try? await answer.collect(upTo: 65_536)) ?? []
        return failure(status: answer.status, body: body, retryAfter: answer.headers.string(for: "retry-after"))
    }
}
