import EventLoop
import HTTPWire
import UpstreamClient

/// The requests about videos. All but the first one are free.
extension ProviderConnections {
    /// The time for the provider's answer to an order, which may have a picture of many megabytes.
    private static let beginWithin = Duration.seconds(120)
    private static let askWithin = Duration.seconds(10)

    /// Asks a provider to make a video. A failure leaves open whether it makes one.
    func makeVideo(_ body: VideoBody, at provider: Catalogue.Provider) async throws(ProviderFailure) -> VideoProgress {
        let way = try way(to: provider)
        let target = Array((way.base + OpenAIVideos.path).utf8)
        var headers = way.headers
        let answer: UpstreamResponse
        switch body {
        case .json(let bytes):
            headers.add("content-type", "application/json")
            answer = way.pool.begin(method: "POST", target: target, headers: headers, body: bytes, firstByteWithin: Self.beginWithin)
        case .form(let form, let segments):
            headers.add("content-type", form.contentType)
            answer = way.pool.begin(
                method: "POST", target: target, headers: headers, body: segments, of: form.upload, firstByteWithin: Self.beginWithin)
        }
        let text = try await collect(answer, way.adapter, upTo: OpenAIVideos.answerBytesMax, within: Self.beginWithin)
        guard let progress = OpenAIVideos.progress(text) else { throw ProviderFailure(.wrongAnswer("with something else than a video")) }
        return progress
    }

    /// Asks for the progress of a job.
    func video(_ id: String, of provider: Catalogue.Provider) async throws(ProviderFailure) -> VideoProgress {
        let (answer, way) = try begin("GET", "/\(id)", of: provider)
        let text = try await collect(answer, way.adapter, upTo: OpenAIVideos.answerBytesMax, within: Self.askWithin)
        guard let progress = OpenAIVideos.progress(text), progress.id == id else {
            throw ProviderFailure(.wrongAnswer("with something else than the video"))
        }
        return progress
    }

    /// Asks for the bytes of a video.
    /// - Parameter variant: the form of the content; nil for the video.
    /// - Returns: an answer that has begun, with status 200.
    func videoContent(_ id: String, variant: String?, of provider: Catalogue.Provider) async throws(ProviderFailure) -> UpstreamResponse {
        let (answer, way) = try begin("GET", "/\(id)/content" + (variant.map { "?variant=\($0)" } ?? ""), of: provider)
        do throws(UpstreamError) { try await answer.head() } catch { throw ProviderFailure(error) }
        guard answer.status == 200 else { throw await way.adapter.failure(of: answer, on: loop) }
        return answer
    }

    func deleteVideo(_ id: String, of provider: Catalogue.Provider) async throws(ProviderFailure) {
        let (answer, way) = try begin("DELETE", "/\(id)", of: provider)
        do throws(ProviderFailure) {
            _ = try await collect(answer, way.adapter, upTo: OpenAIVideos.answerBytesMax, within: Self.askWithin)
        } catch {
            // The provider deletes old videos itself.
            guard answer.status == 404 else { throw error }
        }
    }

    private func begin(
        _ method: StaticString, _ path: String, of provider: Catalogue.Provider
    ) throws(ProviderFailure) -> (UpstreamResponse, Way) {
        let way = try way(to: provider)
        let target = Array((way.base + OpenAIVideos.path + path).utf8)
        return (way.pool.begin(method: method, target: target, headers: way.headers, body: [], firstByteWithin: Self.askWithin), way)
    }
}

/// The body of an order as it goes to the provider.
enum VideoBody {
    case json([UInt8])
    case form(CallForm, [BodySegment])
}
