import Contracts
import HTTP
import HTTPWire
import Identity
import JSON
import Telemetry
import Text

/// The two reads that the web application calls as tRPC queries (trpc.io, HTTP RPC specification): `{"result":{"data":…}}` with what the
/// plain paths answer, errors in tRPC's shape. `?input=` is a JSON object; with `batch=1` the path names several procedures, separated by
/// commas, and the input has theirs under "0", "1", …
extension Routes {
    func procedures(_ request: Request, caller: Principal) async throws -> Response {
        let call = request.trpc
        guard call.isWithinBounds else {
            throw Problem.invalidRequest("A batch must name 1 to \(TRPCCall.namesMax) procedures.", param: "batch")
        }
        let input = try Self.input(request.query)
        var answers: [Result<[UInt8], TRPCError>] = []
        for (index, name) in call.names.enumerated() {
            do {
                let own = call.isBatch ? try input.optionalObject("\(index)") : input
                answers.append(.success(try await procedure(name, for: caller, input: own)))
            } catch let problem as Problem {
                answers.append(.failure(TRPCError(problem, path: name)))
            } catch let error as JSONError {
                answers.append(.failure(TRPCError(.invalidRequest("The input is malformed: \(error)."), path: name)))
            } catch {
                guard let problem = problem(for: error, in: request.trace) else { throw error }
                answers.append(.failure(TRPCError(problem, path: name)))
            }
        }
        guard call.isBatch else { return try Self.answer(answers[0]) }
        return Self.answer(answers)
    }

    private func procedure(_ name: String, for caller: Principal, input: JSONObject?) async throws -> [UInt8] {
        switch name {
        case "credits.balance": try await balance(of: caller).body
        case "credits.history": try await historyPage(of: caller, query(input))
        default: throw Problem.notFound("The procedure '\(name)'")
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

    private static func answer(_ one: Result<[UInt8], TRPCError>) throws(Problem) -> Response {
        if case .failure(let error) = one { throw error.problem }
        return .json(200) { one.encode(into: &$0) }
    }

    /// Answers a batch: 207 if its calls differ in status, else their common status with the headers of a single call.
    private static func answer(_ all: [Result<[UInt8], TRPCError>]) -> Response {
        let statuses = Set(all.map(\.status))
        var response = Response.json(statuses.count == 1 ? statuses.first ?? 200 : 207) { json in
            json.array { json in for one in all { one.encode(into: &json) } }
        }
        if statuses.count == 1, case .failure(let error) = all.first { response.headers.add(error.problem.headers) }
        return response
    }
}

extension Result<[UInt8], TRPCError> {
    fileprivate var status: Int { if case .failure(let error) = self { error.problem.status } else { 200 } }

    fileprivate func encode(into json: inout JSONWriter) {
        switch self {
        case .success(let data): json.object { $0.object("result") { $0.field("data", raw: data) } }
        case .failure(let error): error.encode(into: &json)
        }
    }
}
