import Crypto
package import HTTP
import HTTPWire

/// The files that pages load: the stylesheet, a small script and the icon. Their addresses carry a hash
/// of the content, so that a browser keeps them for a year.
package struct Assets: Sendable {
    let stylesheet: Link
    let script: Link
    let icon: Link

    init(service: String) {
        let folder: Link = "/assets"
        func link(_ file: File) -> Link { folder.segment(service).segment(file.name) }
        (stylesheet, script, icon) = (link(.stylesheet), link(.script), link(.icon))
    }

    private struct File: Sendable {
        let name: String
        let ending: String
        let type: String
        let bytes: [UInt8]

        init(_ bytes: [UInt8], ending: String, type: String) {
            let hash = Base64.url.encode(Array(sha256(bytes).bytes.prefix(12)))
            (name, self.ending, self.type, self.bytes) = ("\(hash).\(ending)", ending, type, bytes)
        }

        static let stylesheet = File(PackageResources.page_css, ending: "css", type: "text/css; charset=utf-8")
        static let script = File(PackageResources.page_js, ending: "js", type: "text/javascript; charset=utf-8")
        static let icon = File(PackageResources.icon_svg, ending: "svg", type: "image/svg+xml")
        static let all = [stylesheet, script, icon]
    }

    /// Answers for a file by its name. The hash of another version gets the present content, which the
    /// browser does not keep: a page of an older replica finds a style.
    /// - Throws: 404 for a name of no kind.
    package func answer(_ name: String) throws(Problem) -> Response {
        guard let file = File.all.first(where: { name.hasSuffix(".\($0.ending)") }) else { throw .notFound("This file") }
        let keep = name == file.name ? "public, max-age=31536000, immutable" : "no-cache"
        let headers: HeaderBlock = ["content-type": file.type, "cache-control": keep, "x-content-type-options": "nosniff"]
        return Response(status: 200, headers: headers, body: file.bytes)
    }
}
