import Contracts

extension PriceVersion {
    /// Returns the class in which a picture of a quality and a size is sold: the most special one that
    /// has a price. Nil if the version has no price for it.
    ///
    /// A size is its longer and shorter side as the request names them (`1024x1792`), or a word (`4K`).
    func mediaClass(of unit: UsageUnit, quality: String?, size: String?) -> ServiceTier? {
        let quality = Self.named(quality), size = Self.named(size)
        let special = [
            [quality, size].compactMap { $0 }.joined(separator: "_"), Self.isFourK(size) ? ServiceTier.fourK.rawValue : "",
            quality == "hd" || quality == "high" ? ServiceTier.hd.rawValue : "", quality ?? "", size ?? "",
        ]
        for name in special where !name.isEmpty {
            if let tier = ServiceTier(rawValue: name), hasPrice(of: unit, in: tier) { return tier }
        }
        // A class that costs more has a price of its own, or it is not sold.
        let isUsual = Self.isUsual(size) && (quality == nil || Self.usualQualities.contains(quality ?? ""))
        let hasSizes = conditional.contains { $0.tier.rawValue.utf8.contains(UInt8(ascii: "x")) }
        return isUsual && (size == nil || !hasSizes) && hasPrice(of: unit, in: .standard) ? .standard : nil
    }

    private func hasPrice(of unit: UsageUnit, in tier: ServiceTier) -> Bool {
        var usage = Usage()
        usage[unit] = 1
        usage.tier = tier
        return hasPrice(of: usage)
    }

    private static let usualQualities: Set<String> = ["low", "medium"]

    /// Returns a name as classes have it. Nil for the usual one.
    private static func named(_ text: String?) -> String? {
        guard let text = text?.lowercased(), !["", "auto", "standard"].contains(text) else { return nil }
        return text
    }

    /// Returns true for a size of two sides of which none is above 2,048, and without one.
    private static func isUsual(_ size: String?) -> Bool {
        guard let size else { return true }
        let sides = size.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
        return sides.count == 2 && sides.allSatisfy((1...2_048).contains)
    }

    private static func isFourK(_ size: String?) -> Bool {
        guard let size else { return false }
        if size == "4k" { return true }
        return size.split(separator: "x").contains { (Int($0) ?? 0) > 2_048 }
    }
}
