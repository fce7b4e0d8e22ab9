import EventLoop
import HTTPWire
import JSON
import UpstreamClient

/// `POST /messages/count_tokens` of Anthropic, which is free.
extension ProviderConnections {
    private static let countWithin = Duration.seconds(30)
    private static let countBytesMax = 65_536

    /// Asks Anthropic for the tokens of a prompt.
    /// - Returns: its answer, which has `input_tokens`.
    func countTokens(of request: ModelRequest, for model: Catalogue.Model) async throws(ProviderFailure) -> [UInt8] {
        let way = try way(to: model.provider)
        var headers = way.headers
        headers.add("content-type", "application/json")
        headers.add(AnthropicBetas.headers(of: request, for: model))
        var (name, splice) = (JSONWriter(), JSONSplice(request.json))
        name.string(model.providerModel)
        splice.set("model", raw: name.bytes)
        let answer = way.pool.begin(
            method: "POST", target: Array((way.base + "/messages/count_tokens").utf8), headers: headers, body: splice.apply(),
            firstByteWithin: Self.countWithin)
        let body = try await collect(answer, way.adapter, upTo: Self.countBytesMax, within: Self.countWithin)
        guard let json = try? JSONObject(body), (try? json.integer("input_tokens")) != nil else {
            throw ProviderFailure(.wrongAnswer("with something else than a count of tokens"))
        }
        return body
    }
}
