import HTTP
import HTTPWire
import Testing

@testable import Web

struct AssetsTests {
    private let assets = Assets(service: "test")

    private func name(_ link: Link) -> String { link.description.split(separator: "/").last.map(String.init) ?? "" }

    @Test func `each file has an address with the hash of its content`() {
        for (link, ending) in [(assets.stylesheet, "css"), (assets.script, "js"), (assets.icon, "svg")] {
            #expect(link.description.wholeMatch(of: /\/assets\/test\/[\w-]{16}\.(\w+)/)?.output.1 == Substring(ending))
        }
    }

    @Test func `a browser keeps a file of the present hash for a year`() throws {
        for (link, type) in [
            (assets.stylesheet, "text/css; charset=utf-8"), (assets.script, "text/javascript; charset=utf-8"),
            (assets.icon, "image/svg+xml"),
        ] {
            let answer = try assets.answer(name(link))
            #expect(answer.status == 200)
            #expect(answer.headers.string(for: "content-type") == type)
            #expect(answer.headers.string(for: "cache-control") == "public, max-age=31536000, immutable")
            #expect(answer.headers.string(for: "x-content-type-options") == "nosniff")
            #expect(!answer.body.isEmpty)
        }
    }

    @Test(arguments: ["AAAAAAAAAAAAAAAA.css", "x.css", ".css", "../../page.css"])
    func `another hash gets the present file, which no browser keeps`(other: String) throws {
        let answer = try assets.answer(other)
        #expect(answer.status == 200)
        #expect(answer.headers.string(for: "cache-control") == "no-cache")
        #expect(answer.body == (try assets.answer(name(assets.stylesheet))).body)
    }

    @Test(arguments: ["", "css", "x.png", "x.css.map", "x", "passwd"])
    func `a file of no known kind is 404`(other: String) {
        let problem = #expect(throws: Problem.self) { try assets.answer(other) }
        #expect(problem?.status == 404)
    }

    @Test func `a stylesheet and a script name no other host`() throws {
        for link in [assets.stylesheet, assets.script] {
            let text = try assets.answer(name(link)).text
            #expect(!text.contains("//") || !text.contains("http"))
            #expect(!text.contains("url("))
            #expect(!text.contains("@import"))
        }
    }
}
