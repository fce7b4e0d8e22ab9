import Contracts
import Glibc

/// What to hold before a call: an upper bound of its price, and the least that still buys a useful answer.
struct HoldEstimate: Hashable, Sendable {
    var amount: Credits
    var amountLeast: Credits

    /// Output tokens that make an answer useful: with credits for fewer, a call is refused rather than cut short.
    static let usefulOutputTokens: Int64 = 64

    /// - Parameter outputTokens: what the caller asked for, or the model's usual answer.
    /// The most the ledger takes in one charge.
    static let amountMax = Credits(whole: 1_000_000_000)

    /// Of a call that costs nothing one nano-credit is held: a hold of nothing would be none.
    /// - Returns: nil when the price is beyond ``amountMax``.
    init?(promptTokens: Int64, outputTokens: Int64, answers: Int64, tariff: Tariff, price: TokenPrice) {
        func credits(_ output: Int64) -> Credits? {
            let (completion, overflow) = output.multipliedReportingOverflow(by: answers)
            guard !overflow else { return nil }
            return tariff.credits(for: TokenUsage(promptTokens: promptTokens, completionTokens: completion), at: price)
        }
        guard let amount = credits(outputTokens), let least = credits(min(outputTokens, Self.usefulOutputTokens)),
            amount <= Self.amountMax
        else { return nil }
        self.amount = max(amount, Credits(nano: 1))
        self.amountLeast = max(least, Credits(nano: 1))
    }

    /// A fast upper bound of the prompt tokens of a JSON body: tokenizers average four bytes of English a token, and hardly any
    /// text needs more than one token for two bytes. A picture counts as ``imageTokens``, whether it is inside (a `data:` URL, whose
    /// bytes do not count) or named by its address. Text that only looks like a picture counts as text.
    static func promptTokensMax(of body: [UInt8]) -> Int64 {
        var textBytes = body.count
        var imagesInside = 0
        var imageParts = 0
        body.withUnsafeBytes { bytes in
            var at = 0
            while let start = offset(of: "\"data:image/", in: bytes, from: at) {
                at = start + 1
                guard isValueOfURL(at: start, in: bytes) else { continue }
                at = offset(of: "\"", in: bytes, from: at) ?? bytes.count
                textBytes -= at - start - 1
                imagesInside += 1
            }
            at = 0
            while let start = offset(of: "\"image_url\"", in: bytes, from: at) {
                imageParts += 1
                at = start + 1
            }
        }
        // A part names it twice: as its type, and as the member that holds the address.
        return Int64(textBytes / 2 + 8) + Int64(max(imagesInside, (imageParts + 1) / 2)) * imageTokens
    }

    private static let imageTokens: Int64 = 2_500

    /// Whether the string that begins at `quote` is the value of a member `url` or `image_url`. A quote inside a text has a backslash before it.
    private static func isValueOfURL(at quote: Int, in bytes: UnsafeRawBufferPointer) -> Bool {
        var end = quote
        func skipSpace() { while end > 0, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[end - 1]) { end -= 1 } }
        skipSpace()
        guard end > 0, bytes[end - 1] == UInt8(ascii: ":") else { return false }
        end -= 1
        skipSpace()
        let before = bytes[..<end]
        return before.suffix(5).elementsEqual("\"url\"".utf8) || before.suffix(11).elementsEqual("\"image_url\"".utf8)
    }

    private static func offset(of text: StaticString, in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        let length = text.utf8CodeUnitCount
        var at = start
        while at + length <= bytes.count {
            guard let found = memchr(base + at, Int32(text.utf8Start[0]), bytes.count - length - at + 1) else { return nil }
            at = UnsafeRawPointer(found) - base
            if memcmp(found, text.utf8Start, length) == 0 { return at }
            at += 1
        }
        return nil
    }

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
