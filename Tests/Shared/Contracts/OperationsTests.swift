import Contracts
import Testing
import Values

struct OperationsTests {
    private let account = AccountID.make()
    private func at(_ seconds: Int64) -> Instant { Instant(microseconds: seconds * 1_000_000) }

    @Test func `the 51st operation of an account in a quarter of an hour is recorded as other`() {
        let operations = Operations()
        for number in 1...50 { #expect(operations.recorded("op\(number)", of: account, at: at(900)) == "op\(number)") }
        #expect(operations.recorded("op51", of: account, at: at(1_799)) == "other")
        #expect(operations.recorded("op50", of: account, at: at(1_799)) == "op50")
        #expect(operations.recorded("op51", of: .make(), at: at(1_799)) == "op51")
        #expect(operations.recorded(nil, of: account, at: at(1_799)) == nil)
        #expect(operations.recorded("op51", of: account, at: at(1_800)) == "op51")
    }

    @Test func `names that differ in their bytes only take a place each`() {
        let operations = Operations()
        for number in 1...49 { _ = operations.recorded("op\(number)", of: account, at: at(0)) }
        #expect(operations.recorded("caf\u{e9}", of: account, at: at(0)) == "caf\u{e9}")
        // The same letters for a reader, and another name for the tables.
        #expect(operations.recorded("cafe\u{301}", of: account, at: at(0)) == "other")
        #expect(operations.recorded("caf\u{e9}", of: account, at: at(0)) == "caf\u{e9}")
    }

    @Test func `the name other takes no place`() {
        let operations = Operations()
        #expect(operations.recorded("other", of: account, at: at(0)) == "other")
        for number in 1...50 { #expect(operations.recorded("op\(number)", of: account, at: at(0)) == "op\(number)") }
    }

    @Test func `all accounts together keep a bounded number of names`() {
        let operations = Operations()
        for _ in 0..<(Operations.allNamesMax / Operations.namesMax) {
            let account = AccountID.make()
            for number in 1...Operations.namesMax { _ = operations.recorded("op\(number)", of: account, at: at(0)) }
        }
        #expect(operations.recorded("op1", of: account, at: at(0)) == "other")
        #expect(operations.recorded("op1", of: account, at: at(900)) == "op1")
    }
}
