import Testing

@testable import LLMProxy

struct OpenAITranscriptionsTests {
    @Test(
        arguments: [
            ("00:00:01,000 --> 00:01:02,001", 63), ("00:01.000 --> 01:02.000", 62), ("a --> b", nil), ("", nil), ("1 --> 2", nil),
            ("00:00:01,000 --> 99:99:99,000", nil), ("00:00:01,000 --> 00:00:10,000 line:1\nx --> 00:00:03", 3),
            ("x --> 9999999999999999999:00:00", nil), ("x --> :::", nil), ("x --> 01:1e300", 61),
        ] as [(String, Int64?)])
    func `the last time of subtitles is their length`(text: String, seconds: Int64?) {
        #expect(Subtitles.seconds(of: Array(text.utf8)) == seconds)
    }

    @Test(arguments: [(0, 1), (1, 1), (30, 1), (31, 2), (60, 2), (61, 3)] as [(Int64, Int64)])
    func `30 s that have begun count`(seconds: Int64, units: Int64) {
        #expect(OpenAITranscriptions.started30s(seconds: seconds) == units)
    }
}
