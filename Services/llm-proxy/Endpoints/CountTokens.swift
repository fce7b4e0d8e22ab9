import HTTP
import HTTPWire
import Identity
import JSON

/// `POST /v1/messages/count_tokens`: Anthropic's count of the tokens of a prompt. It is free, and holds nothing.
struct CountTokens: Sendable {
    let providers: ProviderConnections
    let catalogue: CurrentCatalogue

    /// Refuses what `/v1/messages` refuses, so that the count is that of a message.
    func count(_ request: Request, caller: Principal) async throws -> Response {
        let asked: ModelRequest
        do throws(RequestRefusal) {
            asked = try Self.read(request)
        } catch {
            throw Problem(error)
        }
        let model = try model(of: asked)
        do throws(ProviderFailure) {
            let count = try await providers.countTokens(of: asked, for: model)
            var headers: HeaderBlock = ["content-type": "application/json"]
            headers.add("x-provider", model.provider.name)
            return Response(status: 200, headers: headers, body: count)
        } catch {
            throw error.problem(of: model.provider.name, on: .messages)
        }
    }

    private static func read(_ request: Request) throws(RequestRefusal) -> ModelRequest {
        let json = try CallRequest.parse(request.body, ours: MessageMembers.names)
        guard json.has("messages") else { throw .json(.missing("messages")) }
        let prompt = try MessagePrompt(of: json)
        var asked = ModelRequest(
            surface: .messages, json: json, model: try CallRequest.modelName(of: json), isStreaming: false, includeUsage: false, choices: 1,
            pictures: prompt.size.pictures, cacheWrite: prompt.cacheWrite)
        asked.headers = CreateMessage().providerHeaders(request.headers)
        return asked
    }

    private func model(of asked: ModelRequest) throws(Problem) -> Catalogue.Model {
        var generator = SystemRandomNumberGenerator()
        let catalogue = catalogue.current
        let routes = catalogue.routes(to: asked.model, using: &generator)
        guard !routes.isEmpty else { throw catalogue.problem(of: asked.model) }
        guard let model = routes.first(where: { $0.provider.kind == "anthropic" && $0.surfaces.contains(.messages) }) else {
            throw .invalidRequest(
                "The provider of the model '\(asked.model)' counts no tokens; usage of an answer has them.", param: "model")
        }
        let format = AnthropicMessages()
        if let flaw = format.flaw(in: asked) ?? format.flaw(in: asked, for: model) { throw Problem(.init(flaw)) }
        return model
    }
}
