import Contracts
import JSON
import Testing

struct UnitQuantitiesTests {
    @Test(arguments: ["input", "audio_30s", "image:hd", String(repeating: "a", count: 40) + ":" + String(repeating: "9", count: 40)])
    func `a unit is a name with an optional condition`(name: String) {
        #expect(MeteredUnit(rawValue: name)?.rawValue == name)
    }

    @Test(arguments: ["", "Input", "in put", "image:", ":hd", "a:b:c", "é", String(repeating: "a", count: 41), "input\0"])
    func `any other name is refused`(name: String) {
        #expect(MeteredUnit(rawValue: name) == nil)
    }

    @Test func `a quantity stays within its range, and a seventeenth unit is dropped`() {
        var usage: UnitQuantities = [.input: -1, .output: .max]
        #expect(usage[.input] == 0)
        #expect(usage[.output] == UnitQuantities.quantityMax)
        for index in 0..<20 { usage[MeteredUnit(rawValue: "unit_\(index)")!] = 1 }
        #expect(usage.all.count == UnitQuantities.unitsMax)
        usage[.output] = 3
        #expect(usage[.output] == 3)
    }

    @Test func `tokens of prompt and answer are sums of disjoint units`() throws {
        let usage = try read(
            #"{"input":1,"cached_input":2,"cache_write":4,"audio_input":8,"output":16,"reasoning:long":32,"image":64,"request":0}"#)
        #expect(usage.promptTokens == 15)
        #expect(usage.completionTokens == 48)
        #expect(usage.all.count == 7)
    }

    @Test(arguments: [
        #"{"Input":1}"#, #"{"input":-1}"#, #"{"input":1000000000001}"#, #"{"input":1.5}"#, #"{"input":"1"}"#,
        "{" + (0..<17).map { "\"u\($0)\":1" }.joined(separator: ",") + "}",
    ])
    func `quantities of a message that are out of range are refused`(json: String) {
        #expect(throws: (any Error).self) { try read(json) }
    }

    private func read(_ json: String) throws -> UnitQuantities { try UnitQuantities(from: JSONObject(Array(json.utf8))) }
}
