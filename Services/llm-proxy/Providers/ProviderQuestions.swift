import EventLoop
import HTTPWire
import UpstreamClient

/// The answers to requests that cost nothing.
extension ProviderConnections {
    /// The longest refusal that is read, in bytes.
    private static let refusalBytesMax = 65_536
    private static let refusalWithin = Duration.seconds(10)

    /// Collects a success in one piece.
    func collect(
        _ answer: UpstreamResponse, _ adapter: any ProviderAdapter, upTo bytesMax: Int, within time: Duration
    ) async throws(ProviderFailure) -> [UInt8] {
        let patience = loop.schedule(after: time) { answer.cancel() }
        defer { loop.cancel(patience) }
        do throws(UpstreamError) { try await answer.head() } catch { throw ProviderFailure(error) }
        guard (200..<300).contains(answer.status) else { throw await refusal(answer, adapter) }
        do throws(UpstreamError) {
            return try await answer.collect(upTo: bytesMax)
        } catch {
            throw ProviderFailure(error)
        }
    }

    /// Reads an answer that is no success.
    func refusal(_ answer: UpstreamResponse, _ adapter: any ProviderAdapter) async -> ProviderFailure {
        let patience = loop.schedule(after: Self.refusalWithin) { answer.cancel() }
        defer { loop.cancel(patience) }
        let body = (try? await answer.collect(upTo: Self.refusalBytesMax)) ?? []
        return adapter.failure(status: answer.status, body: body, retryAfter: answer.headers.string(for: "retry-after"))
    }
}
