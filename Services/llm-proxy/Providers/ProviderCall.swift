import Contracts
import EventLoop
import HTTPWire
import JSON
import UpstreamClient
import Values

/// One request to a provider and its answer. An answer is read only if it is of the kind that was
/// asked for: status 200, the media type, and no content coding. Confined to the caller's loop.
final class ProviderCall {
    private let answer: UpstreamResponse
    private let adapter: any ProviderAdapter
    private let format: any WireFormat
    private let context: AnswerContext
    private let isStreaming: Bool
    private let isBinary: Bool
    /// The media types of an answer in one piece.
    private let mediaTypes: [String]
    private let loop: EventLoop
    private let room: AnswerRoom
    /// The bytes of ``room`` that the answer takes.
    private var collected = 0
    private var longest: TimerID?

    init(
        _ answer: UpstreamResponse, of adapter: any ProviderAdapter, in format: any WireFormat, to request: ModelRequest,
        model: Catalogue.Model, longest: Duration, room: AnswerRoom, on loop: EventLoop
    ) {
        (self.answer, self.adapter, self.format, self.room, self.loop) = (answer, adapter, format, room, loop)
        (isStreaming, isBinary, mediaTypes) = (request.isStreaming, request.isBinary, format.mediaTypes(of: request))
        context = AnswerContext(
            model: model.id, choices: request.choices, includeUsage: request.includeUsage,
            format: request.form == nil ? nil : (try? request.json.optionalString("response_format")) ?? nil,
            createdAt: Instant.now().seconds)
        self.longest = loop.schedule(after: longest) { answer.cancel() }
    }

    /// True while no byte of the request has been sent.
    var isUnsent: Bool { answer.isUnsent }
    /// True if the provider's kernel acknowledged the whole request, or the provider answered it.
    var isAcknowledged: Bool { answer.isAcknowledged }

    func cancel() { answer.cancel() }
    func pause() { answer.pause() }
    func resume() { answer.resume() }

    /// Ends the deadline of the call, and gives the room of its answer back. Every call needs it once.
    func ended() {
        room.give(collected)
        collected = 0
        if let longest { loop.cancel(longest) }
        longest = nil
    }

    /// The provider's own id of the request: at most 128 printable characters.
    var requestID: String? {
        let field = answer.headers.string(for: "x-request-id") ?? answer.headers.string(for: "request-id")
        return field.flatMap { $0.utf8.count <= 128 && $0.utf8.allSatisfy { 0x21...0x7E ~= $0 } ? $0 : nil }
    }

    /// Waits until the provider has begun to answer.
    func head() async throws(ProviderFailure) {
        do throws(UpstreamError) { try await answer.head() } catch { throw ProviderFailure(error) }
    }

    /// Refuses an answer that cannot be metered.
    func check() async throws(ProviderFailure) {
        guard answer.status == 200 else { throw await refusal() }
        let type = mediaType
        let expected = isBinary ? ["audio/*"] : isStreaming ? ["text/event-stream"] : mediaTypes
        guard expected.contains(type) || isBinary && (type.hasPrefix("audio/") || type == "application/octet-stream") else {
            answer.cancel()
            throw ProviderFailure(
                .wrongAnswer("with another media type than it was asked for"),
                cause: "media type '\(type.prefix(100))' instead of \(expected.joined(separator: " or "))")
        }
        if let coding = answer.headers.string(for: "content-encoding"), coding.lowercased() != "identity" {
            answer.cancel()
            throw ProviderFailure(.wrongAnswer("with a content coding"), cause: "content coding '\(coding.prefix(100))'")
        }
    }

    private func refusal() async -> ProviderFailure {
        // Another success than 200 has no answer that could be metered.
        guard !(200..<300).contains(answer.status) else {
            answer.cancel()
            return ProviderFailure(.wrongAnswer("with status \(answer.status)"))
        }
        return await adapter.failure(of: answer, on: loop)
    }

    /// Returns the media type in small letters, without its parameters (RFC 9110 §8.3.1).
    var mediaType: String {
        let field = (answer.headers.string(for: "content-type") ?? "").utf8
        return String(decoding: field.prefix { $0 != UInt8(ascii: ";") }.filter { ![0x20, 0x09].contains($0) }, as: UTF8.self).lowercased()
    }

    /// Collects an answer in one piece.
    func whole(upTo bytesMax: Int) async throws(ProviderFailure) -> WholeAnswer {
        let body: [UInt8]
        do throws(UpstreamError) {
            body = try await answer.collect(upTo: bytesMax) { [self] count in
                collected += count
                return room.take(count)
            }
        } catch {
            throw ProviderFailure(error)
        }
        return try format.answer(body, context)
    }

    func reader() -> any EventReader { format.reader(context) }

    /// Hands every read of a stream to `sink`, until the stream ends.
    func pipe(_ sink: @escaping (UnsafeRawBufferPointer) -> Void) async throws(ProviderFailure) {
        do throws(UpstreamError) { try await answer.pipe(sink) } catch { throw ProviderFailure(error) }
    }
}

/// The room for the answers in one piece that the calls of a loop collect, in bytes. Confined to the loop.
final class AnswerRoom {
    private var left: Int

    init(bytesMax: Int = 256 << 20) { left = bytesMax }

    /// - Returns: false if there is less room left. It is taken nevertheless, until it is given back.
    func take(_ count: Int) -> Bool {
        left -= count
        return left >= 0
    }

    func give(_ count: Int) { left += count }
}

extension ProviderFailure {
    init(_ error: UpstreamError) {
        let kind: Kind =
            switch error.code {
            case .timedOut: .timedOut
            case .saturated: .saturated
            case .cancelled: .cancelled
            case .connectFailed, .tlsFailed, .closedEarly, .malformed, .tooLarge: .unreachable
            }
        self.init(kind, cause: error.description)
    }
}
