import Contracts
import HTTP
import Identity
import JSON
import Text

/// The two reads that the web application calls as tRPC queries. The data of a result is the answer of the plain path.
extension Routes {
    func procedures(_ request: Request, caller: Principal) async throws -> Response {
        try await answer(proceduresOf: request) { try await procedure($0, for: caller, input: $1) }
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
}
