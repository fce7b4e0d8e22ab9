import EventLoop
import HTTPWire
import Multipart
import UpstreamClient

/// The connections of one loop to the providers. The key of a provider goes only to the address that
/// the configuration gives with the key.
final class ProviderConnections: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`, like the pools it holds.

    /// The deadlines of one call.
    struct Timing: Sendable {
        /// The time to the first byte of a stream.
        var firstByteWithin = Duration.seconds(120)
        /// The time to the first byte of an answer in one piece, which comes when the answer is whole.
        var answerWithin = Duration.seconds(600)
        /// The time for the whole answer. A provider that trickles meets no deadline between two reads.
        var longest = Duration.seconds(3_600)
    }

    let loop: EventLoop
    private let keys: ProviderKeys
    private let timing: Timing
    private let pools: UpstreamPool.Configuration
    private let room: AnswerRoom
    /// The ways by the provider's row. A call may have an older row than the next one.
    private var ways: [Catalogue.Provider: Way] = [:]

    struct Way {
        var adapter: any ProviderAdapter
        var pool: UpstreamPool
        /// The path of the provider's address, before that of a call.
        var base: String
        /// The surfaces that the provider serves.
        fileprivate var paths: [Surface: Path]
        var headers: HeaderBlock
    }

    fileprivate struct Path {
        var format: any WireFormat
        var target: [UInt8]
    }

    init(
        loop: EventLoop, keys: ProviderKeys, timing: Timing = Timing(), pools: UpstreamPool.Configuration = .init(),
        room: AnswerRoom = AnswerRoom()
    ) {
        (self.loop, self.keys, self.timing, self.pools, self.room) = (loop, keys, timing, pools, room)
    }

    /// Returns the format in which calls of a surface go to a provider. Nil if it cannot serve them.
    /// - Throws: if the provider cannot be called.
    func format(of provider: Catalogue.Provider, for surface: Surface) throws(ProviderFailure) -> (any WireFormat)? {
        try way(to: provider).paths[surface]?.format
    }

    /// Starts a call. It can be cancelled from here on.
    func send(_ request: ModelRequest, to model: Catalogue.Model, limit: OutputLimit) throws(ProviderFailure) -> ProviderCall {
        let way = try way(to: model.provider)
        guard let path = way.paths[request.surface] else {
            throw ProviderFailure(.disabled("The provider '\(model.provider.name)' does not serve \(request.surface.path)."))
        }
        let answer: UpstreamResponse
        if let form = request.form {
            answer = try begin(form, of: request, to: model, way, path)
        } else {
            let body: [UInt8]
            do throws(RequestFlaw) {
                body = try path.format.body(of: request, for: model, limit: limit)
            } catch {
                throw ProviderFailure(.refusedRequest(status: 400, message: error.message, param: error.param))
            }
            var headers = way.headers
            headers.add("content-type", "application/json")
            headers.add(path.format.headers(of: request, for: model))
            answer = way.pool.begin(
                method: "POST", target: path.target, headers: headers, body: body, firstByteWithin: firstByteWithin(request))
        }
        return ProviderCall(
            answer, of: way.adapter, in: path.format, to: request, model: model, longest: timing.longest, room: room, on: loop)
    }

    private func begin(
        _ form: CallForm, of request: ModelRequest, to model: Catalogue.Model, _ way: Way, _ path: Path
    ) throws(ProviderFailure) -> UpstreamResponse {
        let body: [BodySegment]
        do throws(MultipartError) {
            body = try form.body(replacing: path.format.texts(of: request, for: model))
        } catch {
            throw ProviderFailure(.refusedRequest(status: 400, message: error.message, param: nil))
        }
        var headers = way.headers
        headers.add("content-type", form.contentType)
        return way.pool.begin(
            method: "POST", target: path.target, headers: headers, body: body, of: form.upload, firstByteWithin: firstByteWithin(request))
    }

    private func firstByteWithin(_ request: ModelRequest) -> Duration {
        request.isStreaming ? timing.firstByteWithin : timing.answerWithin
    }

    /// Returns the way to a provider.
    /// - Throws: if the provider cannot be called.
    func way(to provider: Catalogue.Provider) throws(ProviderFailure) -> Way {
        if let known = ways[provider] { return known }
        guard let adapter = ProviderKinds.adapters[provider.kind] else {
            throw ProviderFailure(.disabled("The kind of the provider '\(provider.name)' is not known."))
        }
        guard let endpoint = provider.endpoint, let origin = Origin(String(endpoint.origin)) else {
            throw ProviderFailure(.disabled("The address of the provider '\(provider.name)' cannot be read."))
        }
        let key: ProviderKeys.Key
        switch keys.key(of: provider.apiKeyVariable, for: String(endpoint.origin)) {
        case .known(let known): key = known
        case .missing: throw ProviderFailure(.disabled("The provider '\(provider.name)' has no key."))
        case .boundElsewhere:
            throw ProviderFailure(.disabled("The key of the provider '\(provider.name)' belongs to another address."))
        }
        var configuration = pools
        configuration.permits = provider.isLoopback ? .loopback : key.mayCallPrivateAddresses ? .privateNetworks : .global
        var paths: [Surface: Path] = [:]
        for surface in Surface.allCases {
            guard let format = adapter.format(for: surface) else { continue }
            paths[surface] = Path(format: format, target: Array((endpoint.path + format.path).utf8))
        }
        let way = Way(
            adapter: adapter, pool: try pool(origin, configuration), base: String(endpoint.path), paths: paths,
            headers: headers(adapter.credentials(key.secret)))
        closeUnused(provider.name)
        ways[provider] = way
        return way
    }

    /// Closes the connections of a provider whose row has changed. Running calls go on. A way with
    /// waiting calls stays until the next change.
    private func closeUnused(_ name: String) {
        for (provider, way) in ways where provider.name == name && way.pool.waitingCount == 0 {
            way.pool.close()
            ways[provider] = nil
        }
    }

    private func pool(_ origin: Origin, _ configuration: UpstreamPool.Configuration) throws(ProviderFailure) -> UpstreamPool {
        do throws(UpstreamError) {
            return try UpstreamPool(loop: loop, origin: origin, configuration: configuration)
        } catch {
            throw ProviderFailure(error)
        }
    }

    private func headers(_ credentials: HeaderBlock) -> HeaderBlock {
        var headers = credentials
        headers.add("accept", "application/json, text/event-stream, audio/*")
        // An answer that is coded cannot be metered.
        headers.add("accept-encoding", "identity")
        return headers
    }
}
