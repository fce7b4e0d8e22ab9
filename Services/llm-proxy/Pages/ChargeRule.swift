/// A row of the table that says what a call is charged for. The raw value is its anchor on `/pricing`.
///
/// `docs/billing-policy.md` has the same rows in the same order, with what engineers need to know.
enum ChargeRule: String, CaseIterable {
    case complete
    case completeAfterLeaving = "complete-after-leaving"
    case streamStopped = "stream-stopped"
    case streamOutOfCredits = "stream-out-of-credits"
    case leftBeforeAnswer = "left-before-answer"
    case providerFailed = "provider-failed"
    case answerCut = "answer-cut"
    case answerUnusable = "answer-unusable"
    case streamUnfinished = "stream-unfinished"
    case noOutput = "no-output"
    case embeddings
    case transcriptions
    case pictures
    case speech
    case videos
    case refused
    case notConfirmed = "not-confirmed"
    case gatewayFailed = "gateway-failed"
    case reading
    case ownServers = "own-servers"
}

/// A row of the table about a client that hung up before the answer began, by what the gateway sees within 10 s.
enum EarlyLeaveRule: String, CaseIterable {
    case complete = "left-complete"
    case failed = "left-failed"
    case notSent = "left-not-sent"
    case providerSilent = "left-provider-silent"
    case otherwise = "left-otherwise"
}
