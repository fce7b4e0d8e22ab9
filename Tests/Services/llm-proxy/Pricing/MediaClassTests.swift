import Contracts
import Testing
import Values

@testable import LLMProxy

struct MediaClassTests {
    private func price(_ classes: [String]) throws -> PriceVersion {
        let rows = try classes.enumerated().map { index, name in
            UnitPriceRow(unit: .image, tier: try #require(ServiceTier(rawValue: name)), price: PicoUSD(value: Int64(index + 1)))
        }
        return PriceVersion(version: 1, rule: .standard, rows: rows)
    }

    @Test(
        arguments: [
            (nil, nil, "standard"), ("auto", "auto", "standard"), ("standard", "1024x1024", "standard"), ("low", nil, "standard"),
            ("hd", nil, "hd"), ("high", "1024x1024", "hd"), ("HD", nil, "hd"), (nil, "4K", "4k"), ("hd", "4k", "4k"),
            (nil, "3840x2160", "4k"), (nil, "2160x3840", "4k"), (nil, "2048x2048", "standard"), ("ultra", nil, nil),
        ] as [(String?, String?, String?)])
    func `a picture is sold as usual, as HD or as 4K`(quality: String?, size: String?, name: String?) throws {
        let price = try price(["standard", "hd", "4k"])
        #expect(price.mediaClass(of: .image, quality: quality, size: size)?.rawValue == name)
    }

    @Test(
        arguments: [
            (nil, nil, "standard"), ("standard", "1024x1024", "1024x1024"), (nil, "1024x1792", "1024x1792"), ("hd", nil, "hd"),
            ("hd", "1024x1792", "hd_1024x1792"), ("hd", "512x512", "hd"), (nil, "512x512", nil), (nil, "4k", nil),
            ("standard", "x", nil),
        ] as [(String?, String?, String?)])
    func `a model with prices of sizes sells no other size at the usual price`(quality: String?, size: String?, name: String?) throws {
        let price = try price(["standard", "1024x1024", "1024x1792", "hd", "hd_1024x1792"])
        #expect(price.mediaClass(of: .image, quality: quality, size: size)?.rawValue == name)
    }

    @Test func `a class that costs more is never sold at the usual price`() throws {
        let price = try price(["standard"])
        #expect(price.mediaClass(of: .image, quality: "hd", size: nil) == nil)
        #expect(price.mediaClass(of: .image, quality: "high", size: nil) == nil)
        #expect(price.mediaClass(of: .image, quality: nil, size: "4K") == nil)
        #expect(price.mediaClass(of: .image, quality: nil, size: "1024x1024") == .standard)
    }

    @Test func `a model without the usual class sells only classes that a request names`() throws {
        let price = try price(["low_1024x1024", "high_1024x1024"])
        #expect(price.mediaClass(of: .image, quality: nil, size: nil) == nil)
        #expect(price.mediaClass(of: .image, quality: "auto", size: "1024x1024") == nil)
        #expect(price.mediaClass(of: .image, quality: "low", size: "1024x1024") == .media("low_1024x1024"))
    }
}
