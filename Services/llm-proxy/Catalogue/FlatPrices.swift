import Contracts
import Values

/// The flat prices of models whose provider's price the operator does not know, in credits.
///
/// | | credits |
/// |---|---|
/// | a picture | 1; HD 1.5; 4K 2 |
/// | a video | 5; of more than 5 s 10 |
/// | 30 s of sound that are written down, or a part of them | 0.5 |
enum FlatPrices {
    static func rows(for surfaces: Set<Surface>) -> [UnitPriceRow] {
        func row(_ unit: UsageUnit, _ tier: ServiceTier, tenths: Int64) -> UnitPriceRow {
            UnitPriceRow(unit: unit, tier: tier, price: PicoUSD(value: 0), flat: Credits(nano: tenths * Credits.nanoPerCredit / 10))
        }
        let pictures =
            surfaces.isDisjoint(with: [.images, .imageEdits])
            ? [] : [row(.image, .standard, tenths: 10), row(.image, .hd, tenths: 15), row(.image, .fourK, tenths: 20)]
        let videos = surfaces.contains(.videos) ? [row(.request, .standard, tenths: 50), row(.request, .above5Seconds, tenths: 100)] : []
        let sound = surfaces.contains(.transcriptions) ? [row(.audio30s, .standard, tenths: 5)] : []
        return pictures + videos + sound
    }
}
