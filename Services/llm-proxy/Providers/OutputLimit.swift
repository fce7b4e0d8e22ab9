/// The limit of each answer, as the provider gets it.
struct OutputLimit: Hashable, Sendable {
    /// The tokens after which the provider stops.
    var tokens: Int64
    /// False if the model's own cap is the limit. A request without a limit is then passed on
    /// unchanged.
    var isSent: Bool
    /// True if the answer may end earlier than the client asked for.
    var isClamped: Bool
}
