import Contracts
import HTTP
import Identity
import JSON
import TestSupport
import Testing
import Values

@testable import Ledger

extension RoutesTests {
    @Test func `an export has every line, quoted by RFC 4180, and no formula`() async throws {
        try await withServer { server in
            let (admin, person) = (server.person(isAdmin: true), server.person())
            func give(_ amount: Int, _ reason: String) async throws {
                let body = JSONWriter.object { json in
                    json.field("user_id", person.userID)
                    json.field("type", "bonus")
                    json.field("amount", amount)
                    json.field("reason", reason)
                    json.field("idempotency_key", UserID.make())
                }
                let answer = try await server.ask(
                    "POST", "/api/admin/credits/adjust", as: admin, String(decoding: body, as: UTF8.self))
                #expect(answer.status == 201)
            }
            try await give(10, #"=HYPERLINK("http://evil","free"), really"#)
            try await give(20, "+1")
            try await give(30, "ขอบคุณ, ครับ")
            try await give(40, #"a;=1;b; "@x;;-2"#)
            try await server.call(person, cost: Credits(decimal: "0.5")!, model: "@model", operation: "-op", tokens: (12, 34))

            let answer = try await server.ask("GET", "/api/credits/history?format=csv", as: person)
            #expect(answer.status == 200)
            #expect(answer.header("content-type") == "text/csv; charset=utf-8; header=present")
            #expect(answer.header("content-disposition")?.hasPrefix("attachment; filename=\"transactions-20") == true)
            let lines = answer.text.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
            #expect(lines.count == 7)
            #expect(lines.last == "")
            #expect(
                lines[0]
                    == "created_at,id,type,amount,balance_before,balance_after,description,model,operation,prompt_tokens,completion_tokens,overage,flag,expires_at"
            )
            let cells = lines[1].split(separator: ",", omittingEmptySubsequences: false)
            #expect(cells[2...] == ["usage", "-0.5", "100", "99.5", #""'@model""#, #""'@model""#, #""'-op""#, "12", "34", "", "", ""])
            #expect(lines[2].hasSuffix(#",bonus,40,60,100,"a;'=1;b; ""'@x;;'-2","","",,,,,"#))
            #expect(lines[3].hasSuffix(#",bonus,30,30,60,"ขอบคุณ, ครับ","","",,,,,"#))
            #expect(lines[4].hasSuffix(#",bonus,20,10,30,"'+1","","",,,,,"#))
            #expect(lines[5].hasSuffix(#",bonus,10,0,10,"'=HYPERLINK(""http://evil"",""free""), really","","",,,,,"#))

            let theirs = try await server.ask(
                "GET", "/api/admin/credits/history?format=csv&type=bonus&user_id=\(person.userID)", as: admin)
            #expect(theirs.text.split(separator: "\r\n").count == 5)
            #expect(try await server.ask("GET", "/api/credits/history?format=csv", as: server.person()).text == lines[0] + "\r\n")
            let head = try await server.ask("HEAD", "/api/credits/history?format=csv", as: person)
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
        }
    }

    @Test func `a part of a cell after a tab or a line end is no formula`() {
        for (text, cell) in [
            ("a\t=1", "a\t'=1"), ("a\n+1", "a\n'+1"), ("\t\r-1", "'\t'\r'-1"), (" =1", " '=1"), ("a=1", "a=1"), ("a; b=1", "a; b=1"),
            ("", ""),
        ] {
            var csv = CSV()
            csv.row([.text(text)])
            #expect(String(decoding: csv.bytes, as: UTF8.self) == "\"\(cell)\"\r\n")
        }
    }
}
