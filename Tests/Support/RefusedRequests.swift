/// A request that RFC 9110 or RFC 9112 says a server must or should refuse, with its answer.
package struct RefusedRequest: Sendable, CustomStringConvertible {
    package let name: String
    package let bytes: [UInt8]
    package let status: Int
    /// The section of the RFC: `9112 §3.2`.
    package let rule: String
    /// The strictest widely used server that also refuses the request, where the RFC leaves a
    /// choice.
    package let choice: String?
    /// True if the refusal comes after the head, so that the route must accept a body.
    package let needsRoute: Bool

    package var description: String { name }
}

/// The table of requests that every port of ours refuses. After the refusal the connection ends.
///
/// Tests of the HTTP module run it against a server of their own, system tests against each
/// service.
package struct RefusedRequests: Sendable {
    /// The path of a `GET` route that needs no credential.
    package var path = "/livez"
    /// Method and path of a route that accepts a JSON body.
    package var bodyRoute = "POST /echo"
    /// Header lines that `bodyRoute` needs, each with its CRLF.
    package var bodyFields = ""

    package init() {}

    package init(bodyRoute: String, bodyFields: String = "") { (self.bodyRoute, self.bodyFields) = (bodyRoute, bodyFields) }

    package var rows: [RefusedRequest] {
        [
            requestLines, versions, targets, hosts, fieldNames, fieldValues, lineEnds, limits, lengths, codings, chunkSizes,
            chunkExtensions,
            chunkData, expectations,
        ].flatMap { $0 }
    }

    // MARK: Parts of a request

    private static let body = #"{"model":"x","a":1}"#  // 19 bytes
    private static let chunk = "13\r\n\(body)\r\n"

    private func row(
        _ name: String, _ text: String, _ rule: String, status: Int = 400, choice: String? = nil, needsRoute: Bool = false
    ) -> RefusedRequest {
        RefusedRequest(name: name, bytes: Array(text.utf8), status: status, rule: rule, choice: choice, needsRoute: needsRoute)
    }

    /// A request with the request line and a good `Host`.
    private func line(_ line: String) -> String { "\(line)\r\nHost: t\r\n\r\n" }
    /// A `GET` with header lines besides `Host`.
    private func get(_ fields: String) -> String { "GET \(path) HTTP/1.1\r\nHost: t\r\n\(fields)\r\n" }
    /// A request with the fields that frame its body, and the bytes of the body.
    private func post(_ framing: String, _ rest: String = body) -> String {
        "\(bodyRoute) HTTP/1.1\r\nHost: t\r\n\(bodyFields)\(framing)\r\n\r\n\(rest)"
    }
    private func chunked(_ rest: String) -> String { post("Transfer-Encoding: chunked", rest) }

    // MARK: The request line

    private var requestLines: [RefusedRequest] {
        let methods =
            ([
                ("a method of 33 characters", String(repeating: "M", count: 33)), ("a method with a colon", "GET:"),
                ("a method in quotes", "\"GET\""),
                ("a method with parentheses", "G(T)"), ("a method with a slash", "G/T"), ("a method with an at sign", "G@T"),
                ("a list of methods", "GET,POST"), ("a method with NUL", "G\0T"), ("a method with a control character", "G\u{01}T"),
                ("a method with DEL", "G\u{7F}T"), ("a method that is not ASCII", "GÉT"),
            ] as [(String, String)]).map { name, method in
                row(name, line("\(method) \(path) HTTP/1.1"), "9112 §3.1", choice: "nginx answers 400, where RFC 9110 §9.1 prefers 501")
            }
        let shapes =
            ([
                ("no method", " \(path) HTTP/1.1"), ("a tab before the method", "\tGET \(path) HTTP/1.1"),
                ("a tab after the method", "GET\t\(path) HTTP/1.1"), ("two spaces after the method", "GET  \(path) HTTP/1.1"),
                ("a form feed after the method", "GET\u{0C}\(path) HTTP/1.1"), ("a tab before the version", "GET \(path)\tHTTP/1.1"),
                ("two spaces before the version", "GET \(path)  HTTP/1.1"), ("a space after the version", "GET \(path) HTTP/1.1 "),
                ("a tab after the version", "GET \(path) HTTP/1.1\t"), ("a third word", "GET \(path) x HTTP/1.1"),
                ("no target", "GET HTTP/1.1"),
                ("an empty target", "GET  HTTP/1.1"), ("no version", "GET \(path)"), ("a method alone", "GET"),
                ("a header line in its place", "X: y"), ("the start of TLS", "\u{16}\u{03}\u{01}\u{02}"),
            ] as [(String, String)]).map { name, text in
                row(name, line(text), "9112 §3", choice: "Apache httpd with HttpProtocolOptions Strict, the default")
            }
        return methods + shapes + [
            row("CONNECT", "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n", "9110 §9.3.6", choice: "nginx"),
            row("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "9112 §2.3"),
        ]
    }

    private var versions: [RefusedRequest] {
        let malformed = [
            "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/11", "HTTP/1.10", "HTTP/1.1.1", "HTTP/01.1", "HTTP/1.01", "HTTP/-1.1", "HTTP/+1.1",
            "HTTP/1,1", "HTTP/ 1.1", "HTTP /1.1", "http/1.1", "Http/1.1", "HTTPS/1.1", "HTP/1.1", "HTTP1.1", "HTTP-1.1", "HTTP/x.y",
            "HTTP/1.1x", "FTP/1.1", "ICE/1.0",
        ].map { row("the version \($0)", line("GET \(path) \($0)"), "9112 §2.3") }
        let others = ["HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"].map {
            row("the version \($0)", line("GET \(path) \($0)"), "9110 §2.5", choice: "Node.js answers 400, where §15.6.6 has 505")
        }
        return malformed + others + [row("the version ICE/1.0 of Icecast", line("SOURCE \(path) ICE/1.0"), "9112 §2.3")]
    }

    // MARK: The target

    private var targets: [RefusedRequest] {
        let forms =
            ([
                ("a target without a slash", "livez"), ("a query alone", "?x=1"), ("an asterisk with GET", "*"),
                ("an asterisk and a path", "*/x"),
                ("host and port with GET", "t:80"), ("another scheme", "ftp://t\(path)"), ("a scheme alone", "http://"),
                ("a scheme with one slash", "http:/t\(path)"), ("no scheme", "://t\(path)"),
                ("an absolute target without a host", "http://\(path)"),
                ("an absolute target with a user", "http://u@t\(path)"),
                ("an absolute target with a port that is no number", "http://t:x\(path)"),
                ("an absolute target with two ports", "http://t:1:2\(path)"),
                ("an absolute target for a list of hosts", "http://t,u\(path)"),
                ("a fragment", "\(path)#x"), ("an empty fragment", "\(path)#"), ("a fragment in an absolute target", "http://t\(path)#x"),
            ] as [(String, String)]).map { name, target in row(name, line("GET \(target) HTTP/1.1"), "9112 §3.2") }
        let bytes =
            [
                ("NUL", "\0"), ("a control character", "\u{01}"), ("DEL", "\u{7F}"), ("a tab", "\t"), ("a character beyond ASCII", "é"),
                ("a quote", "\""), ("a less-than sign", "<"), ("a greater-than sign", ">"), ("a backslash", "\\"), ("a caret", "^"),
                ("a backquote", "`"), ("a brace", "{"), ("a closing brace", "}"), ("a bar", "|"), ("a bracket", "["),
                ("a closing bracket", "]"),
            ] as [(String, String)]
        let characters = [("the path", ""), ("the query", "?x=")].flatMap { place, prefix in
            bytes.map { name, byte in
                row("\(name) in \(place)", line("GET \(path)\(prefix)\(byte) HTTP/1.1"), "9112 §3.2", choice: "Apache Tomcat")
            }
        }
        let escapes = ["%", "%4", "%zz", "%4g", "%g4", "%%20", "?x=%", "?x=%4", "?x=%-1"].map {
            row(
                "the broken escape \($0)", line("GET \(path)\($0) HTTP/1.1"), "9112 §3.2",
                choice: "nginx in a path, Apache Tomcat also in a query")
        }
        return forms + characters + escapes + [
            row(
                "an absolute target for another host", line("GET http://other\(path) HTTP/1.1"), "9112 §3.2.2",
                choice: "Go's net/http takes the target's host; we refuse, because the client must send both alike"),
            row("an asterisk with POST", line("POST * HTTP/1.1"), "9112 §3.2.4"),
            row("a target of 20 KB", line("GET /\(String(repeating: "a", count: 20_000)) HTTP/1.1"), "9112 §3", status: 414),
        ]
    }

    // MARK: Host

    private var hosts: [RefusedRequest] {
        func host(_ name: String, _ value: String, choice: String? = nil) -> RefusedRequest {
            row("Host with \(name)", "GET \(path) HTTP/1.1\r\nHost: \(value)\r\n\r\n", "9112 §3.2", choice: choice)
        }
        let apache = "Apache httpd with HttpProtocolOptions Strict, the default"
        let grammar =
            ([
                ("a user", "user@t"), ("a user and a password", "user:secret@t"), ("an empty user", "@t"), ("a path", "t/x"),
                ("an empty path", "t/"), ("a query", "t?x"), ("a fragment", "t#x"), ("a scheme", "http://t"), ("nothing", ""),
                ("a space alone", " "), ("a tab alone", "\t"), ("a list with a space", "t, u"), ("two names", "t u"),
                ("a tab inside", "t\tu"),
                ("a port that is no number", "t:x"), ("a port with a tail", "t:80x"), ("two ports", "t:80:80"), ("a negative port", "t:-1"),
                ("a port with a plus", "t:+80"), ("a port without a name", ":80"), ("a colon alone", ":"), ("an open bracket", "[::1"),
                ("a closing bracket alone", "::1]"), ("an IPv6 address without brackets", "::1"), ("empty brackets", "[]"),
                ("text behind the brackets", "[::1]x"), ("a port behind brackets that is no number", "[::1]:x"),
                ("text before the brackets", "t[::1]"), ("letters beyond f in brackets", "[::g]"),
                ("an IPv4 address in brackets", "[127.0.0.1]"),
                ("a quoted name", "\"t\""), ("an angle bracket", "<t>"), ("a backslash", "t\\u"), ("a caret", "t^u"),
                ("a backquote", "t`u"),
                ("braces", "{t}"), ("a bar", "t|u"), ("a letter beyond ASCII", "té"), ("a broken escape", "t%z"), ("NUL", "t\0u"),
                ("a control character", "t\u{01}u"), ("DEL", "t\u{7F}u"),
            ] as [(String, String)]).map { host($0, $1) }
        let choices =
            ([
                ("a comma list", "t,u"), ("a semicolon", "t;u"), ("an asterisk", "*"), ("a plus", "t+u"), ("an equals sign", "t=u"),
                ("an ampersand", "t&u"), ("a dollar sign", "$t"), ("an exclamation mark", "t!"), ("an apostrophe", "t'u"),
                ("parentheses", "(t)"), ("an escape", "%74"), ("two dots", "t..u"), ("a port beyond 65535", "t:65536"),
                ("a port beyond 64 bits", "t:99999999999999999999"), ("a zone in brackets", "[fe80::1%25eth0]"),
                ("a later address", "[v1.x]"),
            ] as [(String, String)]).map { host($0, $1, choice: apache) }
        return grammar + choices + [
            row("no Host", "GET \(path) HTTP/1.1\r\n\r\n", "9112 §3.2"),
            row("no Host and an absolute target", "GET http://t\(path) HTTP/1.1\r\n\r\n", "9112 §3.2"),
            row("two Hosts", "GET \(path) HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "9112 §3.2"),
            row("the same Host twice", "GET \(path) HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "9112 §3.2"),
            row("a good Host and an empty one", "GET \(path) HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n", "9112 §3.2"),
            row("a bad Host in HTTP/1.0", "GET \(path) HTTP/1.0\r\nHost: u@t\r\n\r\n", "9112 §3.2"),
            row("an empty Host in HTTP/1.0", "GET \(path) HTTP/1.0\r\nHost:\r\n\r\n", "9112 §3.2", choice: "nginx"),
        ]
    }

    // MARK: Header lines

    private var fieldNames: [RefusedRequest] {
        let delimiters = "\"(),/;<=>?@[\\]{}".map { row("\($0) in a field name", get("X\($0)Y: z\r\n"), "9110 §5.1") }
        return delimiters + [
            row("a space in a field name", get("X Y: z\r\n"), "9110 §5.1"),
            row("a control character in a field name", get("X\u{01}Y: z\r\n"), "9110 §5.1"),
            row("NUL in a field name", get("X\0Y: z\r\n"), "9110 §5.1"),
            row("DEL in a field name", get("X\u{7F}Y: z\r\n"), "9110 §5.1"),
            row("a field name beyond ASCII", get("Xé: z\r\n"), "9110 §5.1"),
            row("a field without a name", get(": z\r\n"), "9110 §5.1"),
            row("a field without a colon", get("X\r\n"), "9112 §5"),
            row("a last field without a colon", get("X: y\r\nZ\r\n"), "9112 §5"),
            row("a space before the colon", get("X : y\r\n"), "9112 §5.1"),
            row("a tab before the colon", get("X\t: y\r\n"), "9112 §5.1"),
            row("a space before the colon of Host", "GET \(path) HTTP/1.1\r\nHost : t\r\n\r\n", "9112 §5.1"),
            row("a space before the colon of Content-Length", post("Content-Length : 19"), "9112 §5.1"),
            row(
                "a space before the colon of Transfer-Encoding", post("Transfer-Encoding : chunked", Self.chunk + "0\r\n\r\n"), "9112 §5.1"),
            row("a space before the first field", "GET \(path) HTTP/1.1\r\n Host: t\r\nHost: t\r\n\r\n", "9112 §2.2"),
            row("a tab before the first field", "GET \(path) HTTP/1.1\r\n\tHost: t\r\nHost: t\r\n\r\n", "9112 §2.2"),
            row("a line of one space", get(" \r\n"), "9112 §5.2"),
        ]
    }

    private var fieldValues: [RefusedRequest] {
        let controls = ["\u{01}", "\u{07}", "\u{08}", "\u{0B}", "\u{0C}", "\u{1B}", "\u{1F}", "\u{7F}"].map {
            row(
                "the byte \($0.utf8.first ?? 0) in a value", get("X: a\($0)b\r\n"), "9110 §5.5",
                choice: "Node.js")
        }
        return controls + [
            row("NUL in a value", get("X: a\0b\r\n"), "9110 §5.5"),
            row("NUL at the end of a value", get("X: a\0\r\n"), "9110 §5.5"),
            row("a bare CR in a value", get("X: a\rb\r\n"), "9112 §2.2"),
            row("a bare CR before a field", get("X: a\rY: b\r\n"), "9112 §2.2"),
            row("two CRs before a field", get("X: a\r\rY: b\r\n"), "9112 §2.2"),
            row("two CRs at the end of a line", get("X: a\r\r\n"), "9112 §2.2"),
            row("a folded line", get("X: a\r\n b\r\n"), "9112 §5.2"),
            row("a line folded by a tab", get("X: a\r\n\tb\r\n"), "9112 §5.2"),
            row("a line folded after an empty value", get("X:\r\n b\r\n"), "9112 §5.2"),
            row("a folded Host", "GET \(path) HTTP/1.1\r\nHost:\r\n t\r\n\r\n", "9112 §5.2"),
            row("a folded Transfer-Encoding", post("Transfer-Encoding:\r\n chunked", Self.chunk + "0\r\n\r\n"), "9112 §5.2"),
            row("a folded Content-Length", post("Content-Length: 1\r\n 9"), "9112 §5.2"),
        ]
    }

    private var lineEnds: [RefusedRequest] {
        let node = "Node.js; §2.2 lets a recipient accept LF alone"
        return [
            row("lines ended by LF alone", "GET \(path) HTTP/1.1\nHost: t\n\n", "9112 §2.2", choice: node),
            row("a request line ended by LF alone", "GET \(path) HTTP/1.1\nHost: t\r\n\r\n", "9112 §2.2", choice: node),
            row("a field ended by LF alone", "GET \(path) HTTP/1.1\r\nHost: t\nX: y\r\n\r\n", "9112 §2.2", choice: node),
            row("an empty line of LF alone", "GET \(path) HTTP/1.1\r\nHost: t\r\n\n", "9112 §2.2", choice: node),
            row("an empty line of CR CR LF", "GET \(path) HTTP/1.1\r\nHost: t\r\n\r\r\n", "9112 §2.2"),
            row("an empty line of CR and a letter", "GET \(path) HTTP/1.1\r\nHost: t\r\n\rX\r\n\r\n", "9112 §2.2"),
            row("a request line ended by CR alone", "GET \(path) HTTP/1.1\rHost: t\r\n\r\n", "9112 §2.2"),
            row("LF before the request", "\n" + get(""), "9112 §2.2", choice: node),
            row("CR before the request", "\r" + get(""), "9112 §2.2"),
            row("CR CR LF before the request", "\r\r\n" + get(""), "9112 §2.2"),
            row("a space before the request", " " + get(""), "9112 §2.2"),
        ]
    }

    private var limits: [RefusedRequest] {
        let long = String(repeating: "a", count: 100_000)
        return [
            row("a head of 100 KB", get("X: \(long)\r\n"), "9110 §5.4", status: 431),
            row("a field name of 100 KB", get("\(long): x\r\n"), "9110 §5.4", status: 431),
            row("300 fields", get((0..<300).map { "X\($0): y\r\n" }.joined()), "9110 §5.4", status: 431),
            row("a target of 100 KB", line("GET /\(long) HTTP/1.1"), "9112 §3", status: 414),
            row("a query of 20 KB", line("GET \(path)?\(long.prefix(20_000)) HTTP/1.1"), "9112 §3", status: 414),
            row("a declared body of 20 MB", post("Content-Length: 20000000", ""), "9110 §15.5.14", status: 413, needsRoute: true),
            row("a declared body of 2^63 bytes", post("Content-Length: 9223372036854775808", ""), "9110 §15.5.14", status: 413),
        ]
    }

    // MARK: The length of a body

    private var lengths: [RefusedRequest] {
        let values =
            ([
                ("with a plus", "+19"), ("that is negative", "-19"), ("in hexadecimal", "0x13"), ("with a tail", "19abc"),
                ("that is empty", ""),
                ("of one space", " "), ("with a space inside", "1 9"), ("with a tab inside", "1\t9"),
                ("beyond 64 bits", "99999999999999999999"),
                ("of 2^64", "18446744073709551616"), ("with a fraction", "19.0"), ("with an exponent", "19e0"), ("in words", "nineteen"),
                ("in quotes", "\"19\""), ("with a semicolon", "19;"), ("with an underscore", "1_9"), ("in Arabic digits", "١٩"),
                ("of a minus", "-"),
            ] as [(String, String)]).map { name, value in row("a length \(name)", post("Content-Length: \(value)"), "9112 §6.3") }
        let lists =
            ([
                ("a list of lengths", "Content-Length: 19, 19"), ("a list of two lengths", "Content-Length: 19, 5"),
                ("a length and a comma", "Content-Length: 19,"), ("a comma and a length", "Content-Length: ,19"),
                ("the same length twice", "Content-Length: 19\r\nContent-Length: 19"),
                ("two lengths", "Content-Length: 19\r\nContent-Length: 5"),
                ("two lengths in other cases", "content-length: 5\r\nCONTENT-LENGTH: 19"),
                ("a good length and an empty one", "Content-Length: 19\r\nContent-Length:"),
            ] as [(String, String)]).map { name, fields in
                row(name, post(fields), "9112 §6.3", choice: "Node.js; §6.3 lets a recipient accept a list of equal lengths")
            }
        let both =
            ([
                ("a length and chunks", "Content-Length: 19\r\nTransfer-Encoding: chunked"),
                ("chunks and a length", "Transfer-Encoding: chunked\r\nContent-Length: 19"),
                ("chunks and a length of 0", "Transfer-Encoding: chunked\r\nContent-Length: 0"),
                ("chunks and a length, with other fields between", "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 4"),
            ] as [(String, String)]).map { name, fields in
                row(
                    name, post(fields, Self.chunk + "0\r\n\r\n"), "9112 §6.1",
                    choice: "Node.js; §6.3 lets a server process it and then close")
            }
        return values + lists + both
    }

    // MARK: Transfer codings

    private var codings: [RefusedRequest] {
        let unknown = [
            "xchunked", "chunkedx", "chunk", "identity", "gzip", "gzip, chunked", "chunked, identity", "chunked, gzip", "chunked, chunked",
            "chunked;q=1", "chunked=1", "\"chunked\"", "chunked,", ", chunked", "", "chun ked", "chunked chunked", "\u{0B}chunked",
            "chunked\u{0C}", "[chunked]", "chunké",
        ].map { value in
            row(
                "the transfer coding '\(value)'", post("Transfer-Encoding: \(value)", Self.chunk + "0\r\n\r\n"), "9112 §6.1",
                choice: "Apache Tomcat answers 400 to a list, where §6.1 prefers 501")
        }
        return unknown + [
            row(
                "a known transfer coding twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Self.chunk + "0\r\n\r\n"),
                "9112 §6.1"),
            row(
                "two transfer codings on two lines",
                post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", Self.chunk + "0\r\n\r\n"), "9112 §6.1"),
            row(
                "two transfer codings, chunked first",
                post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", Self.chunk + "0\r\n\r\n"), "9112 §6.1"),
            row("an unknown transfer coding and a length", post("Transfer-Encoding: identity\r\nContent-Length: 19"), "9112 §6.1"),
            row(
                "chunks in HTTP/1.0", post("Transfer-Encoding: chunked", Self.chunk + "0\r\n\r\n").replacing("HTTP/1.1", with: "HTTP/1.0"),
                "9112 §6.1"),
            row(
                "an unknown transfer coding of a GET", get("Transfer-Encoding: gzip\r\n"), "9112 §6.1",
                choice: "Apache Tomcat answers 400 or 501"),
        ]
    }

    // MARK: Chunks

    private var chunkSizes: [RefusedRequest] {
        let sizes =
            ([
                ("that is empty", ""), ("with a prefix", "0x13"), ("with a plus", "+13"), ("that is negative", "-13"),
                ("with a fraction", "13.0"),
                ("of letters beyond f", "g"), ("with a tail", "13g"), ("with an underscore", "1_3"),
                ("beyond 64 bits", "FFFFFFFFFFFFFFFFF"),
                ("of 64 bits", "FFFFFFFFFFFFFFFF"), ("in quotes", "\"13\""), ("with NUL", "13\0"), ("with a control character", "13\u{01}"),
                ("beyond ASCII", "１３"),
                ("with a comma", "13,"), ("after a space", " 13"), ("after a tab", "\t13"), ("of 20 digits", "00000000000000000013"),
            ] as [(String, String)]).map { name, size in
                row("a chunk size \(name)", chunked("\(size)\r\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1", needsRoute: true)
            }
        let spaces =
            ([
                ("a space", " "), ("a tab", "\t"), ("two spaces", "  "), ("a space before the extension", " ;x=y"),
                ("a vertical tab", "\u{0B}"),
            ] as [(String, String)]).map { name, text in
                row(
                    "\(name) after a chunk size", chunked("13\(text)\r\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1", choice: "Node.js",
                    needsRoute: true)
            }
        return sizes + spaces + [
            row("a space after the last chunk's size", chunked(Self.chunk + "0 \r\n\r\n"), "9112 §7.1", choice: "Node.js", needsRoute: true)
        ]
    }

    private var chunkExtensions: [RefusedRequest] {
        let extensions =
            ([
                ("a semicolon alone", ";"), ("two semicolons", ";;"), ("a semicolon at the end", ";x=y;"), ("no name", ";=y"),
                ("no value", ";x="), ("no value and another", ";x=;z"), ("a name that is no token", ";x/y"),
                ("a name in quotes", ";\"x\"=y"),
                ("a name beyond ASCII", ";é"), ("a control character in the name", ";x\u{01}"), ("NUL in the name", ";x\0"),
                ("DEL in the name", ";x\u{7F}"), ("a value that is no token", ";x=y/z"), ("two equals signs", ";x==y"),
                ("a control character in the value", ";x=\u{01}"), ("a value in quotes that does not end", ";x=\"y"),
                ("text behind the quotes", ";x=\"y\"z"), ("a control character in quotes", ";x=\"\u{01}\""), ("NUL in quotes", ";x=\"\0\""),
                ("a control character behind a backslash", ";x=\"\\\u{01}\""), ("DEL in quotes", ";x=\"\u{7F}\""), ("a comma", ";x,y"),
            ] as [(String, String)]).map { name, text in
                row("a chunk extension with \(name)", chunked("13\(text)\r\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1.1", needsRoute: true)
            }
        let spaces =
            ([
                ("a space before its name", "; x=y"), ("a space before the equals sign", ";x =y"),
                ("a space after the equals sign", ";x= y"),
                ("a space at its end", ";x=y "), ("a space behind the quotes", ";x=\"y\" "), ("a space after the semicolon", "; "),
            ] as [(String, String)]).map { name, text in
                row(
                    "a chunk extension with \(name)", chunked("13\(text)\r\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1.1", choice: "Node.js",
                    needsRoute: true)
            }
        return extensions + spaces + [
            row("LF in a chunk extension", chunked("13;x\n\r\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1.1", needsRoute: true),
            row("CR in a chunk extension", chunked("13;x\ry\r\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1.1", needsRoute: true),
            row(
                "LF in the quotes of a chunk extension", chunked("13;x=\"\n\"\r\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1.1",
                needsRoute: true),
            row("a semicolon after the last chunk's size", chunked(Self.chunk + "0;\r\n\r\n"), "9112 §7.1.1", needsRoute: true),
            row(
                "chunk extensions of 20 KB", chunked("13;x=\(String(repeating: "y", count: 20_000))\r\n\(Self.body)\r\n0\r\n\r\n"),
                "9112 §7.1.1", choice: "Node.js bounds them by 16 KiB", needsRoute: true),
        ]
    }

    private var chunkData: [RefusedRequest] {
        let node = "Node.js; §2.2 lets a recipient accept LF alone"
        return [
            row("a chunk longer than its size", chunked("5\r\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1", needsRoute: true),
            row("a chunk shorter than its size", chunked("14\r\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1", needsRoute: true),
            row("a chunk without its line end", chunked("13\r\n\(Self.body)0\r\n\r\n"), "9112 §7.1", needsRoute: true),
            row("a chunk ended by LF alone", chunked("13\r\n\(Self.body)\n0\r\n\r\n"), "9112 §7.1", choice: node, needsRoute: true),
            row("a chunk ended by CR alone", chunked("13\r\n\(Self.body)\r0\r\n\r\n"), "9112 §7.1", needsRoute: true),
            row("a chunk ended by two letters", chunked("13\r\n\(Self.body)XX0\r\n\r\n"), "9112 §7.1", needsRoute: true),
            row("a chunk size ended by LF alone", chunked("13\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1", choice: node, needsRoute: true),
            row("a chunk size ended by CR alone", chunked("13\r\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1", needsRoute: true),
            row("a chunk size ended by CR CR LF", chunked("13\r\r\n\(Self.body)\r\n0\r\n\r\n"), "9112 §7.1", needsRoute: true),
            row("the last chunk ended by LF alone", chunked(Self.chunk + "0\n\r\n"), "9112 §7.1", choice: node, needsRoute: true),
            row("a chunked body ended by LF alone", chunked(Self.chunk + "0\r\n\n"), "9112 §7.1", choice: node, needsRoute: true),
            row("a chunked body ended by CR and a letter", chunked(Self.chunk + "0\r\n\rX"), "9112 §7.1", needsRoute: true),
            row("a chunked body ended by CR CR LF", chunked(Self.chunk + "0\r\n\r\r\n"), "9112 §7.1", needsRoute: true),
            row(
                "a trailer field", chunked(Self.chunk + "0\r\nX: y\r\n\r\n"), "9112 §7.1.2",
                choice: "none; a second place for fields is refused", needsRoute: true),
            row("a trailer with a length", chunked(Self.chunk + "0\r\nContent-Length: 5\r\n\r\n"), "9110 §6.5.1", needsRoute: true),
            row("a trailer with Host", chunked(Self.chunk + "0\r\nHost: u\r\n\r\n"), "9110 §6.5.1", needsRoute: true),
            row("a trailer that is no field", chunked(Self.chunk + "0\r\nX\r\n\r\n"), "9112 §7.1.2", needsRoute: true),
            row("a trailer that starts with a space", chunked(Self.chunk + "0\r\n X: y\r\n\r\n"), "9112 §7.1.2", needsRoute: true),
            row("no chunks at all", chunked(Self.body + "\r\n\r\n"), "9112 §7.1", needsRoute: true),
        ]
    }

    // MARK: Expectations

    private var expectations: [RefusedRequest] {
        ["200-ok", "100", "100-continue, x", "100-continue=1", ""].map { value in
            row(
                "the expectation '\(value)'", post("Expect: \(value)\r\nContent-Length: 19"), "9110 §10.1.1", status: 417,
                choice: "Apache httpd; §10.1.1 lets a server answer 417", needsRoute: true)
        }
    }
}
