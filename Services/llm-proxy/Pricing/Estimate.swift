import Contracts

/// What to hold before a call: an upper bound of its price, and the least that still buys a useful answer.
struct HoldEstimate: Hashable, Sendable {
    var amount: Credits
    var amountLeast: Credits

    /// Output tokens that make an answer useful: with credits for fewer, a call is refused rather than cut short.
    static let usefulOutputTokens: Int64 = 64

    /// - Parameter outputTokens: what the caller asked for, or the model's usual answer.
    /// - Returns: nil when the price does not fit in ``Credits``.
    init?(promptTokens: Int64, outputTokens: Int64, answers: Int64, tariff: Tariff, price: TokenPrice) {
        func credits(_ output: Int64) -> Credits? {
            let (completion, overflow) = output.multipliedReportingOverflow(by: answers)
            guard !overflow else { return nil }
            return tariff.credits(for: TokenUsage(promptTokens: promptTokens, completionTokens: completion), at: price)
        }
        guard let amount = credits(outputTokens), let least = credits(min(outputTokens, Self.usefulOutputTokens)) else { return nil }
        self.amount = amount
        self.amountLeast = least
    }

    /// A fast upper bound of the prompt tokens of a JSON body: tokenizers average four bytes of English a token, and hardly any
    /// text needs more than one token for two bytes. A picture inside (`data:` URL) counts as ``imageTokens``, not by its bytes.
    static func promptTokensMax(of body: [UInt8]) -> Int64 {
        var textBytes = body.count
        var images = 0
        if body.count > imageBodyBytesMin {
            body.withUnsafeBytes { bytes in
                var rest = bytes
                while let start = rest.firstRange(of: "\"data:".utf8)?.lowerBound {
                    let url = UnsafeRawBufferPointer(rebasing: rest[(start + 1)...])
                    let length = url.firstIndex(of: UInt8(ascii: "\"")) ?? url.count
                    textBytes -= length
                    images += 1
                    rest = UnsafeRawBufferPointer(rebasing: url[length...])
                }
            }
        }
        return Int64(textBytes / 2 + 8) + Int64(images) * imageTokens
    }

    private static let imageTokens: Int64 = 2_500
    private static let imageBodyBytesMin = 4_096

    /// How many output tokens an answer may have so that it fits in what was granted; at least one.
    static func outputTokens(
        affordableWith granted: Credits, promptTokens: Int64, upTo requested: Int64, answers: Int64, tariff: Tariff, price: TokenPrice
    ) -> Int64 {
        // The price grows with the tokens, so the largest number that fits is found by bisection.
        var fits: Int64 = 1
        var tooMany = requested + 1
        while tooMany - fits > 1 {
            let middle = fits + (tooMany - fits) / 2
            let usage = TokenUsage(promptTokens: promptTokens, completionTokens: middle * answers)
            if let credits = tariff.credits(for: usage, at: price), credits <= granted { fits = middle } else { tooMany = middle }
        }
        return fits
    }
}
