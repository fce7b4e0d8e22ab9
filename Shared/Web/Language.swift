import HTTP
package import HTTPWire

/// The languages of pages and mails.
///
/// A text stands in the source with all its languages, so that none can be forgotten:
/// `language(en: "Sign in", th: "เข้าสู่ระบบ")`.
package enum Language: String, Sendable, CaseIterable {
    case en
    case th

    package func callAsFunction(en: String, th: String) -> String {
        switch self {
        case .en: en
        case .th: th
        }
    }

    /// The name of the language in that language.
    package var name: String { self(en: "English", th: "ภาษาไทย") }

    /// The name of the cookie in which a browser keeps the choice of its user.
    package static let cookieName = "language"

    /// Returns the language of an answer: that of the cookie, which the footer and each sign-in set, else that of the account, else
    /// that of `Accept-Language` (RFC 9110 §12.5.4), else English.
    package init(_ headers: HeaderBlock, account: String?) {
        let chosen = headers.cookie(Self.cookieName).flatMap { Language(rawValue: String(decoding: $0, as: UTF8.self)) }
        self = chosen ?? account.flatMap(Language.init) ?? Self.accepted(headers.string(for: "accept-language") ?? "")
    }

    /// Returns the known language with the highest weight; the first one of equals.
    private static func accepted(_ text: String) -> Language {
        var best: (language: Language, weight: Double) = (.en, 0)
        for range in text.lowercased().split(separator: ",").prefix(32) {
            let parts = range.split(separator: ";", omittingEmptySubsequences: false).map { $0.filter { $0 != " " && $0 != "\t" } }
            guard let language = Language(rawValue: String(parts[0].prefix { $0 != "-" })) else { continue }
            let weight = parts.first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
            if weight > best.weight { best = (language, weight) }
        }
        return best.language
    }
}
