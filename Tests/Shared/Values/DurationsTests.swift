import Testing
import Values

struct DurationsTests {
    @Test(arguments: [
        (Duration.zero, Int64(0), 0.0), (.nanoseconds(1_999_999), 1, 0.001_999_999), (.nanoseconds(-1_999_999), -1, -0.001_999_999),
        (.seconds(86_400), 86_400_000, 86_400), (.milliseconds(-1_500), -1_500, -1.5),
    ])
    func `a duration is counted in whole units, rounded towards zero`(duration: Duration, milliseconds: Int64, seconds: Double) {
        #expect(duration.wholeMilliseconds == milliseconds)
        #expect(duration.wholeMicroseconds / 1_000 == milliseconds)
        #expect(duration.wholeNanoseconds / 1_000_000 == milliseconds)
        #expect(duration.fractionalSeconds == seconds)
    }
}
