import Contracts
import EventLoop
import Testing

@testable import LLMProxy

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

    @Test func `other takes no place`() {
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

struct ProviderWatchTests {
    private func at(_ seconds: UInt64) -> MonotonicInstant { MonotonicInstant(nanoseconds: seconds * 1_000_000_000) }

    @Test func `a provider is silent when calls have waited for half a minute and none was answered`() {
        let watch = ProviderWatch()
        #expect(!watch.isSilent("p", at: at(100)))
        watch.sent(to: "p", at: at(100))
        watch.sent(to: "p", at: at(120))
        #expect(!watch.isSilent("p", at: at(129)))
        #expect(watch.isSilent("p", at: at(130)))
        #expect(!watch.isSilent("q", at: at(130)))
        watch.ended(at: "p", hasAnswered: true, at: at(131))
        #expect(!watch.isSilent("p", at: at(160)))
        #expect(watch.isSilent("p", at: at(161)))
    }

    @Test func `a provider without calls is not silent, and a failed call is no answer`() {
        let watch = ProviderWatch()
        watch.sent(to: "p", at: at(0))
        watch.sent(to: "p", at: at(10))
        watch.ended(at: "p", hasAnswered: false, at: at(20))
        #expect(watch.isSilent("p", at: at(30)))
        watch.ended(at: "p", hasAnswered: false, at: at(30))
        #expect(!watch.isSilent("p", at: at(40)))
        watch.sent(to: "p", at: at(3_600))
        #expect(!watch.isSilent("p", at: at(3_610)))
    }
}
