import EventLoop
import Testing

@testable import LLMProxy

struct ProviderWatchTests {
    private func at(_ seconds: UInt64) -> MonotonicInstant { MonotonicInstant(nanoseconds: seconds * 1_000_000_000) }

    @Test func `a provider is silent when streams have waited for half a minute and no call was answered`() {
        let watch = ProviderWatch()
        #expect(!watch.isSilent("p", at: at(100)))
        watch.sent(to: "p", isStream: true, at: at(100))
        watch.sent(to: "p", isStream: true, at: at(120))
        #expect(!watch.isSilent("p", at: at(129)))
        #expect(watch.isSilent("p", at: at(130)))
        #expect(!watch.isSilent("q", at: at(130)))
        watch.ended(at: "p", isStream: true, hasAnswered: true, at: at(131))
        #expect(!watch.isSilent("p", at: at(160)))
        #expect(watch.isSilent("p", at: at(161)))
    }

    @Test func `a failed call is no answer`() {
        let watch = ProviderWatch()
        watch.sent(to: "p", isStream: true, at: at(0))
        watch.sent(to: "p", isStream: true, at: at(10))
        watch.ended(at: "p", isStream: true, hasAnswered: false, at: at(20))
        #expect(!watch.isSilent("p", at: at(29)))
        #expect(watch.isSilent("p", at: at(30)))
    }

    @Test func `a provider that has answered no call for an hour is silent also to clients that leave after five seconds`() {
        let watch = ProviderWatch()
        for minute in UInt64(0)..<60 {
            watch.sent(to: "p", isStream: true, at: at(minute * 60))
            #expect(watch.isSilent("p", at: at(minute * 60 + 5)) == (minute > 0))
            watch.ended(at: "p", isStream: true, hasAnswered: false, at: at(minute * 60 + 5))
        }
        watch.sent(to: "p", isStream: true, at: at(3_600))
        watch.ended(at: "p", isStream: true, hasAnswered: true, at: at(3_601))
        watch.sent(to: "p", isStream: true, at: at(7_200))
        #expect(!watch.isSilent("p", at: at(7_229)))
        #expect(watch.isSilent("p", at: at(7_230)))
    }

    @Test func `non-streaming calls are no evidence of silence, and their answers count`() {
        let watch = ProviderWatch()
        watch.sent(to: "p", isStream: false, at: at(0))
        watch.sent(to: "p", isStream: false, at: at(10))
        #expect(!watch.isSilent("p", at: at(100)))
        watch.sent(to: "p", isStream: true, at: at(100))
        #expect(!watch.isSilent("p", at: at(129)))
        #expect(watch.isSilent("p", at: at(130)))
        watch.ended(at: "p", isStream: false, hasAnswered: true, at: at(131))
        #expect(!watch.isSilent("p", at: at(160)))
        #expect(watch.isSilent("p", at: at(161)))
    }
}
