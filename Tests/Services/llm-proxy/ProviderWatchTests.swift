import EventLoop
import Testing

@testable import LLMProxy

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
