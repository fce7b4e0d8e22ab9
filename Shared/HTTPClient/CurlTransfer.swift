import CCurl
import EventLoop

/// One libcurl easy handle and what has arrived for it.
///
/// Its two callbacks run inside libcurl: they record bytes and return, nothing else.
final class CurlTransfer: @unchecked Sendable {
    // @unchecked Sendable: made by the caller, handed to the loop once, touched only there from then on (`answer` is Sendable).

    let answer: Promise<ClientResponse>
    let easy: UnsafeMutableRawPointer
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private let message = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    private let responseBytesMax: Int
    private var headers: [(name: String, value: String)] = []
    private var body: [UInt8] = []
    private var outgrown = false

    init(_ request: ClientRequest, answer: Promise<ClientResponse>) throws(ClientError) {
        try Self.check(request)
        _ = libraryReady
        self.answer = answer
        responseBytesMax = request.responseBytesMax
        easy = curl_easy_init()!
        message.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        set(request)
        receive()
    }

    /// Only after `curl_multi_remove_handle`: the driver holds a reference until then.
    deinit {
        curl_easy_cleanup(easy)
        curl_slist_free_all(headerList)
        message.deallocate()
    }

    private static func check(_ request: ClientRequest) throws(ClientError) {
        let token = request.method.utf8.allSatisfy { (65...90).contains($0) }
        guard token, !request.method.isEmpty else {
            throw ClientError(code: .badRequest, message: "not a method: \(request.method)")
        }
        for (name, value) in request.headers {
            let broken =
                name.isEmpty || name.utf8.contains { $0 <= 32 || $0 == 58 || $0 >= 127 } || value.utf8.contains { $0 < 32 && $0 != 9 }
            guard !broken else { throw ClientError(code: .badRequest, message: "header \(name) cannot be sent as one line") }
        }
    }

    private func set(_ request: ClientRequest) {
        ccurl_set_string(easy, CURLOPT_URL, request.url)
        ccurl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1)
        ccurl_set_long(easy, CURLOPT_TIMEOUT_MS, max(1, Int(request.timeout.milliseconds)))
        ccurl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, max(1, Int(request.connectTimeout.milliseconds)))
        ccurl_set_long(easy, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        if let caFile = request.caFile {
            ccurl_set_string(easy, CURLOPT_CAINFO, caFile)
            ccurl_set_pointer(easy, CURLOPT_CAPATH, nil)
        }
        if let body = request.body {
            ccurl_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, body.count)
            // An empty array may have no address, and libcurl reads a NULL as "the body comes from a callback".
            let bytes = body.isEmpty ? [0] : body
            bytes.withUnsafeBytes { _ = ccurl_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, $0.baseAddress) }
        }
        if request.method == "HEAD" { ccurl_set_long(easy, CURLOPT_NOBODY, 1) }
        ccurl_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method)
        setHeaders(request)
    }

    private func setHeaders(_ request: ClientRequest) {
        func append(_ line: String) { headerList = curl_slist_append(headerList, line) }
        // "Name;" is libcurl's spelling of a header with an empty value; "Name:" takes away one it would add.
        for (name, value) in request.headers { append(value.isEmpty ? "\(name);" : "\(name): \(value)") }
        let given = Set(request.headers.map { $0.name.lowercased() })
        for added in ["accept", "content-type", "expect"] where !given.contains(added) { append("\(added):") }
        ccurl_set_pointer(easy, CURLOPT_HTTPHEADER, headerList)
    }

    private func receive() {
        let context = Unmanaged.passUnretained(self).toOpaque()
        ccurl_set_pointer(easy, CURLOPT_PRIVATE, context)
        ccurl_set_pointer(easy, CURLOPT_ERRORBUFFER, message)
        ccurl_set_pointer(easy, CURLOPT_HEADERDATA, context)
        ccurl_set_receiver(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
            CurlTransfer.from(context!).gotHeader(String(decoding: line, as: UTF8.self))
            return line.count
        }
        ccurl_set_pointer(easy, CURLOPT_WRITEDATA, context)
        ccurl_set_receiver(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            let part = UnsafeRawBufferPointer(start: bytes, count: size * count)
            // Anything but the count makes libcurl end the transfer with CURLE_WRITE_ERROR.
            return CurlTransfer.from(context!).gotBody(part) ? part.count : 0
        }
    }

    static func from(_ context: UnsafeMutableRawPointer) -> CurlTransfer {
        Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
    }

    private func gotHeader(_ line: String) {
        guard let colon = line.firstIndex(of: ":"), !line.hasPrefix("HTTP/") else {
            // A status line: the headers before it belonged to a 1xx answer. The empty line after the last
            // header comes through here too and must not forget them.
            if line.hasPrefix("HTTP/") { headers.removeAll() }
            return
        }
        let value = line[line.index(after: colon)...].drop(while: \.isWhitespace)
        let end = value.lastIndex { !$0.isWhitespace }.map { value.index(after: $0) } ?? value.startIndex
        headers.append((String(line[..<colon]), String(value[..<end])))
    }

    private func gotBody(_ part: UnsafeRawBufferPointer) -> Bool {
        guard body.count + part.count <= responseBytesMax else {
            outgrown = true
            return false
        }
        body.append(contentsOf: part)
        return true
    }

    /// Tells the waiting task how the transfer ended.
    func finish(_ result: CURLcode) {
        guard result != CURLE_OK else {
            let response = ClientResponse(status: ccurl_status(easy), headers: headers, body: body)
            answer.succeed(response)
            return
        }
        let detail = message.pointee == 0 ? String(cString: curl_easy_strerror(result)) : String(cString: message)
        answer.fail(ClientError(code: outgrown ? .tooLarge : ClientError.Code(result), message: detail))
    }

    func finishClosed() {
        answer.fail(ClientError(code: .closedEarly, message: "the client was closed"))
    }
}

extension ClientError.Code {
    fileprivate init(_ result: CURLcode) {
        self =
            switch result {
            case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_BAD_FUNCTION_ARGUMENT: .badRequest
            case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT: .connectFailed
            case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CIPHER,
                CURLE_SSL_CERTPROBLEM, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS:
                .tlsFailed
            case CURLE_OPERATION_TIMEDOUT: .timedOut
            case CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING, CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_UNSUPPORTED_PROTOCOL:
                .malformed
            default: .closedEarly
            }
    }
}
