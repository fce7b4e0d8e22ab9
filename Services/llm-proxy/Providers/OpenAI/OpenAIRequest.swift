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
}
