import Postgres
import Testing

struct PostgresErrorTests {
    @Test(arguments: ["08006", "57P01", "57P03", "25006", "53100", "53300", "58030"])
    func `what is the server's trouble is waited out`(sqlState: String) {
        let error = PostgresError(.server, "", sqlState: SQLState(sqlState))
        #expect(error.isDatabaseUnavailable)
        #expect(error.isTransient)
    }

    @Test(arguments: ["22P05", "23505", "23514", "42P01"])
    func `what is a statement's fault is not`(sqlState: String) {
        let error = PostgresError(.server, "", sqlState: SQLState(sqlState))
        #expect(!error.isDatabaseUnavailable)
        #expect(!error.isTransient)
    }
}
