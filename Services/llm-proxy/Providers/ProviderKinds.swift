/// The kinds of providers by their names in the providers file and in the table `provider`.
enum ProviderKinds {
    static let adapters: [String: any ProviderAdapter] = ["openai": OpenAICompatible(), "anthropic": Anthropic()]
}
