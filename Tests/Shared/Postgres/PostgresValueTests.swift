import TestSupport
import Testing
import Values

@testable import Postgres

@Suite(.database(schema: "test"))
struct PostgresValueTests {
    private func echo<Value: PostgresValue & Equatable>(_ value: Value?) async throws {
        let result = try await TestDatabase.current.withPool(connectionsMax: 1) { try await $0.one(Echo(value: value)) }
        #expect(result == value)
    }

    @Test(arguments: [0, 1, -1, Int64.max, Int64.min]) func `a bigint is read as it was written`(value: Int64) async throws {
        try await echo(value)
    }

    @Test func `every type is read as it was written, and as NULL`() async throws {
        try await echo(Int64?.none)
        try await echo(Int32.min)
        try await echo(Int32?.none)
        try await echo(Int16.max)
        try await echo(true)
        try await echo(Bool?.none)
        try await echo(-0.125)
        try await echo("")
        try await echo("naïve 🧾 \u{0001}")
        try await echo(String?.none)
        try await echo([UInt8]())
        try await echo([UInt8](0...255))
        try await echo([UInt8]?.none)
        try await echo(UUIDv7.make())
        try await echo(UUIDv7?.none)
        try await echo(Instant(microseconds: 0))
        try await echo(Instant(microseconds: 1_795_169_400_000_001))
        try await echo(JSONText(#"{"a": [1, 2.5, null]}"#))
        try await echo(Credits(nano: -42))
    }

    @Test(arguments: ["294245-12-31 23:59:59Z", "4713-01-01 00:00:00Z BC"])
    func `a time within 64 bits of microseconds since 1970 is read`(text: String) async throws {
        _ = try await TestDatabase.current.withPool(connectionsMax: 1) { try await $0.one(ReadTime(text: text)) }
    }

    @Test(arguments: ["294276-12-31 23:59:59Z", "infinity", "-infinity"])
    func `a time outside 64 bits of microseconds is no instant`(text: String) async throws {
        let error = await #expect(throws: PostgresError.self) {
            try await TestDatabase.current.withPool(connectionsMax: 1) { try await $0.one(ReadTime(text: text)) }
        }
        #expect(error?.message == #"column 1 "time" holds no Instant"#)
    }

    @Test(arguments: [-1, 2, Int32.max, Int32.min]) func `an array with a wrong number of elements is refused`(count: Int32) {
        // One dimension, no NULLs, the type bigint, the count, the lower bound; then the one element.
        let bytes: [Int32] = [1, 0, 20, count, 1, 8, 0, 7]
        let values = bytes.map(\.bigEndian).withUnsafeBytes { RowReader.elements($0, Int64.self) }
        #expect(values == nil)
    }

    @Test func `arrays are read as written, also empty ones`() async throws {
        try await TestDatabase.current.withPool { pool async throws in
            #expect(try await pool.one(EchoArray(values: [Int64]())) == [])
            #expect(try await pool.one(EchoArray(values: [Int64.min, 0, .max])) == [.min, 0, .max])
            #expect(try await pool.one(EchoArray(values: ["a", "", "c"])) == ["a", "", "c"])
            #expect(try await pool.one(EchoArray(values: [[UInt8](), [0, 255]])) == [[], [0, 255]])
            #expect(try await pool.one(EchoArray(values: [true, false])) == [true, false])
            #expect(try await pool.one(EchoArray(values: [Int16(-1)])) == [-1])
            #expect(try await pool.one(EchoArray(values: [Int32(-1)])) == [-1])
            let ids = (0..<5).map { _ in UUIDv7.make() }
            #expect(try await pool.one(EchoArray(values: ids)) == ids)
            let times = [Instant(microseconds: 1), Instant(microseconds: -1)]
            #expect(try await pool.one(EchoArray(values: times)) == times)
            #expect(try await pool.one(EchoArray(values: [JSONText("1")])) == [JSONText("1")])
            #expect(try await pool.one(EchoOptionalArray(values: ["a", "b"])) == ["a", "b"])
            #expect(try await pool.one(EchoOptionalArray(values: nil)) == nil)
        }
    }

    @Test func `unnest keeps order and NULLs over a hundred thousand elements`() async throws {
        let numbers = (0..<100_000).map { $0 % 7 == 0 ? nil : Int64($0) }
        let texts = (0..<20_000).map { $0 % 5 == 0 ? nil : String(repeating: "x", count: $0 % 50) }
        try await TestDatabase.current.withPool { pool async throws in
            #expect(try await pool.query(Unnest(values: numbers)) == numbers)
            #expect(try await pool.query(Unnest(values: texts)) == texts)
        }
    }

    @Test func `a value of twenty megabytes is written and read`() async throws {
        let bytes = Array(repeatElement([UInt8](0...255), count: 80_000).joined())
        try await TestDatabase.current.withPool { pool async throws in
            #expect(try await pool.one(Echo(value: bytes)) == bytes)
        }
    }

    @Test func `a NULL, another type or a column too many is a mismatch that names the column`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool async throws in
            let null = await #expect(throws: PostgresError.self) { try await pool.query(ReadNullAsInteger()) }
            #expect(null?.code == .typeMismatch)
            #expect(null?.message == #"column 1 "amount" is NULL, Int64 expected"#)
            #expect(null?.statement == "ReadNullAsInteger")
            let text = await #expect(throws: PostgresError.self) { try await pool.query(ReadTextAsInteger()) }
            #expect(text?.message == #"column 1 "label" is text, Int64 expected"#)
            let columns = await #expect(throws: PostgresError.self) { try await pool.query(ReadTwoOfOne()) }
            #expect(columns?.message == "the statement gives 1 columns, a further Int64 was expected")
            #expect(try await pool.one(Echo(value: Int64(1))) == 1, "the connection lives on")
        }
    }
}
