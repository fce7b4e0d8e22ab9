/// A class of service that a provider sells at prices of its own.
///
/// The raw value is OpenAI's name of a service tier, or names a quality or a size of pictures and
/// videos: `hd`, `4k`, `hd_1024x1792`. It has at most 32 small letters, digits and underscores.
enum ServiceTier: RawRepresentable, Hashable, Sendable {
    case standard, flex, priority, batch
    case media(String)

    /// The tiers that a provider names in its answers.
    static let services: [ServiceTier] = [.standard, .flex, .priority, .batch]
    static let hd = ServiceTier.media("hd")
    static let above5Seconds = ServiceTier.media("above_5s")
    static let fourK = ServiceTier.media("4k")
    static let nameBytesMax = 32

    init?(rawValue: String) {
        if let service = Self.service(named: rawValue) {
            self = service
        } else {
            let isName = rawValue.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
                default: false
                }
            }
            guard isName, 1...Self.nameBytesMax ~= rawValue.utf8.count else { return nil }
            self = .media(rawValue)
        }
    }

    var rawValue: String {
        switch self {
        case .standard: "standard"
        case .flex: "flex"
        case .priority: "priority"
        case .batch: "batch"
        case .media(let name): name
        }
    }

    static func service(named name: String) -> ServiceTier? { services.first { $0.rawValue == name } }
}
