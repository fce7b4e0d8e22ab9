import Postgres
import Testing

struct PostgresErrorTests {
    @Test(arguments: ["08006", "57P01", "57P03", "25006", "53100", "53300", "58030"])
    func `an error of the server is worth a wait`(sqlState: String) {
        let error = PostgresError(.server, "", sqlState: sqlState)
        #expect(error.isDatabaseUnavailable)
        #expect(error.isRetriable)
    }

    @Test(arguments: ["22P05", "23505", "23514", "42P01"])
    func `an error of the statement is not worth a wait`(sqlState: String) {
        let error = PostgresError(.server, "", sqlState: sqlState)
        #expect(!error.isDatabaseUnavailable)
        #expect(!error.isRetriable)
    }
}
