import Contracts
import HTTPWire
import JSON

/// A request for a model as wire formats read it, checked by its endpoint.
struct ModelRequest: Sendable {
    /// The shape in which the client called.
    let surface: Surface
    let json: JSONObject
    /// The model's name as the client wrote it.
    let model: String
    let isStreaming: Bool
    /// True if the client asked for usage in the stream.
    let includeUsage: Bool
    /// The number of answers that the provider generates (`n`).
    let choices: Int64
    /// The number of pictures in the prompt.
    let pictures: Int64
    /// The form, if the request came as one. ``json`` has its texts then.
    var form: CallForm?
    /// True if the answer is bytes that come piece by piece, such as sound.
    var isBinary = false
    /// The dearest write to the provider's cache that the request asks for. Nil: it asks for none.
    var cacheWrite: UsageUnit?
    /// The fields of the client's request that its provider may get too.
    var headers = HeaderBlock()

    static let choicesMax: Int64 = 128
}

/// A member of a request that cannot be served, with its rule and remedy.
struct RequestFlaw: Error, Hashable {
    var param: String
    var message: String
}
