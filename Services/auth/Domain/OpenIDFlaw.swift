/// The reason why a provider's answer is not good enough for a sign-in. The texts are ours: a log never
/// has those of a provider.
enum OpenIDFlaw: String, Error {
    // No answer.
    case unreachable
    case tlsFailed = "tls failed"
    case timedOut = "timeout"
    case tooLarge = "answer too large"
    case notHTTP = "no HTTP answer"
    case status = "status other than 200"

    // The documents.
    case metadata = "malformed metadata"
    case metadataIssuer = "metadata of another issuer"
    case insecureEndpoint = "endpoint without https"
    case clientAuthentication = "unsupported client authentication"
    case keys = "malformed keys"

    // The answer that the browser brings.
    case answerIssuer = "answer of another issuer"
    case authorization = "authorization failed"
    case noCode = "no code"

    // The answer to the code.
    case tokenAnswer = "malformed token answer"
    case token = "malformed ID token"
    case algorithm = "unsupported algorithm"
    case unknownKey = "unknown key"
    case signature = "wrong signature"
    case tokenIssuer = "ID token of another issuer"
    case audience = "ID token for another client"
    case expired = "expired ID token"
    case issuedAt = "ID token of the future"
    case nonce = "wrong nonce"
    case accessTokenHash = "wrong at_hash"
    case subject = "malformed subject"
    case userInfo = "malformed user info"
}
