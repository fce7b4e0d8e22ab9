/// How far an answer may go.
struct TokenBudget {
    var outputTokens = Int64.max
    /// If true, only events count, of which each is at least one token. Used if the provider was given the limit, so that
    /// the proxy stops it only when it clearly exceeds the limit. Else events and bytes count, as they are charged.
    var countsEventsOnly = false
}
