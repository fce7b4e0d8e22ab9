import JSON

extension ModelRequest {
    /// Begins the provider's request: the client's bytes with the provider's name of the model.
    func splice(for model: Catalogue.Model) -> JSONSplice {
        var splice = JSONSplice(json)
        if model.providerModel != self.model {
            var name = JSONWriter()
            name.string(model.providerModel)
            splice.set("model", raw: name.bytes)
        }
        return splice
    }

    /// The options of a stream, with usage asked for. The rest stays as the client sent it.
    var streamOptionsWithUsage: [UInt8] {
        guard let options = try? json.optionalObject("stream_options") else { return Array(#"{"include_usage":true}"#.utf8) }
        var splice = JSONSplice(options)
        splice.set("include_usage", raw: Array("true".utf8))
        return splice.apply()
    }
}
