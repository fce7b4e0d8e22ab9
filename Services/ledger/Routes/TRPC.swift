import Contracts
import HTTP
import HTTPWire
import Identity
import JSON
import Postgres
import Telemetry
import Text

/// The two reads that the web application calls as tRPC queries (trpc.io, HTTP RPC specification): `{"result":{"data":…}}` with what the
/// plain paths answer, errors in tRPC's shape. `?input=` is a JSON object; with `batch=1` the path names several procedures, separated by
/// commas, and the input has theirs under "0", "1", …
extension Routes {
    @Sendable func procedures(_ request: Request) async throws -> Response {
        let path = String(request.path.dropFirst("/api/trpc/".count))
        let isBatch = request.query["batch"] == "1"
        guard let names = PercentEncoding.decode(path.utf8).map({ name in isBatch ? name.split(separator: ",").map(String.init) : [name] }),
            names.count <= Self.batchMax
        else { return RPCError(.invalidRequest("At most \(Self.batchMax) procedures are called at once."), path: nil).response }
        let input: JSONObject
        do throws(Problem) { input = try Self.input(request.query) } catch { return RPCError(error, path: nil).response }

        let caller: Result<Principal, any Error>
        do { caller = .success(try await reader(request)) } catch { caller = .failure(error) }
        var answers: [Result<[UInt8], RPCError>] = []
        for (index, name) in names.enumerated() {
            do {
                let own = isBatch ? try input.optionalObject("\(index)") : input
                answers.append(.success(try await procedure(name, for: caller, input: own)))
            } catch let problem as Problem {
                answers.append(.failure(RPCError(problem, path: name)))
            } catch let error as PostgresError where error.isTransient {
                log.warning("request failed: database unavailable", error: error, trace: request.trace)
                answers.append(.failure(RPCError(.ledgerUnavailable, path: name)))
            } catch let error as JSONError {
                answers.append(.failure(RPCError(.invalidRequest("The input is malformed: \(error)."), path: name)))
            }
        }
        return isBatch ? Self.answer(answers) : Self.answer(answers[0])
    }

    /// Encodes a refusal from before a procedure is called: a malformed query, for example.
    static func refusedProcedures(_ problem: Problem) -> Response { RPCError(problem, path: nil).response }

    private static let batchMax = 10

    private func procedure(_ name: String, for caller: Result<Principal, any Error>, input: JSONObject?) async throws -> [UInt8] {
        switch name {
        case "credits.balance": try await balance(of: caller.get()).body
        case "credits.history": try await historyPage(of: caller.get(), query(input))
        default: throw Problem(404, "not_found", .invalidRequest, "No procedure found on path \"\(name)\"")
        }
    }

    private func historyPage(of caller: Principal, _ query: Query) async throws -> [UInt8] {
        try await slots.during(caller.accountID) { try await historyPage(of: caller.accountID, query, isForOwner: true).body }
    }

    private static func input(_ query: Query) throws(Problem) -> JSONObject {
        let text = try query.filled("input") ?? "{}"
        do throws(JSONError) {
            return try JSONObject(Array((text == "null" ? "{}" : text).utf8))
        } catch {
            throw .invalidJSON("The input is no valid JSON object: \(error).")
        }
    }

    /// The members of an input as the query parameters of the plain path: checked by the same rules.
    private func query(_ input: JSONObject?) throws -> Query {
        var pairs: [String] = []
        for member in input?.members ?? [] {
            let text: String
            switch try JSONValue(Array(input?.raw(member.name) ?? [])) {
            case .null: continue
            case .string(let value): text = value
            case .number(let value): text = value
            case .bool(let value): text = "\(value)"
            case .array(let values):
                text = try values.map { value in
                    guard let name = value.string else { throw Problem.invalidRequest("Expected an array of strings.", param: member.name) }
                    return name
                }.joined(separator: ",")
            case .object: throw Problem.invalidRequest("An object is not allowed here.", param: member.name)
            }
            pairs.append("\(PercentEncoding.encode(member.name))=\(PercentEncoding.encode(text))")
        }
        return try Query(pairs.joined(separator: "&").utf8)
    }

    private static func answer(_ one: Result<[UInt8], RPCError>) -> Response {
        switch one {
        case .success: .json(200) { one.encode(into: &$0) }
        case .failure(let error): error.response
        }
    }

    /// Answers a batch: 207 if its calls differ in status, else their common status with the headers of a single call.
    private static func answer(_ all: [Result<[UInt8], RPCError>]) -> Response {
        let statuses = Set(all.map(\.status))
        var response = Response.json(statuses.count == 1 ? statuses.first ?? 200 : 207) { json in
            json.array { json in for one in all { one.encode(into: &json) } }
        }
        if statuses.count == 1, case .failure(let error) = all.first { response.headers.add(error.problem.headers) }
        return response
    }
}

extension Result<[UInt8], RPCError> {
    fileprivate var status: Int { if case .failure(let error) = self { error.problem.status } else { 200 } }

    fileprivate func encode(into json: inout JSONWriter) {
        switch self {
        case .success(let data): json.object { $0.object("result") { $0.field("data", raw: data) } }
        case .failure(let error): error.encode(into: &json)
        }
    }
}

/// One of our problems as tRPC tells it; `reason` and `param` are ours.
private struct RPCError: Error {
    let problem: Problem
    /// Nil when the request as a whole is wrong.
    let path: String?

    init(_ problem: Problem, path: String?) { (self.problem, self.path) = (problem, path) }

    var response: Response {
        var headers = problem.headers
        headers.add("content-type", "application/json")
        var json = JSONWriter()
        encode(into: &json)
        return Response(status: problem.status, headers: headers, body: json.bytes)
    }

    func encode(into json: inout JSONWriter) {
        let (name, number) = code
        json.object { json in
            json.object("error") { json in
                json.field("message", problem.message)
                json.field("code", number)
                json.object("data") { json in
                    json.field("code", name)
                    json.field("httpStatus", problem.status)
                    if let path { json.field("path", path) }
                    json.field("reason", problem.code)
                    json.field("param", problem.param)
                }
            }
        }
    }

    /// tRPC's name and JSON-RPC's number (its `TRPC_ERROR_CODES_BY_KEY`).
    private var code: (String, Int) {
        switch problem.status {
        case 400: problem.code == "invalid_json" ? ("PARSE_ERROR", -32_700) : ("BAD_REQUEST", -32_600)
        case 401: ("UNAUTHORIZED", -32_001)
        case 402: ("PAYMENT_REQUIRED", -32_002)
        case 403: ("FORBIDDEN", -32_003)
        case 404: ("NOT_FOUND", -32_004)
        case 409: ("CONFLICT", -32_009)
        case 413: ("PAYLOAD_TOO_LARGE", -32_013)
        case 429: ("TOO_MANY_REQUESTS", -32_029)
        case 503: ("SERVICE_UNAVAILABLE", -32_603)
        default: ("INTERNAL_SERVER_ERROR", -32_603)
        }
    }
}
