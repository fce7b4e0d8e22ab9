import CCurl
import EventLoop

/// One libcurl easy handle, the bytes that it sends and what has arrived for it.
///
/// Its callbacks run inside libcurl: they record and return, nothing else.
package final class CurlTransfer: @unchecked Sendable {
    // @unchecked Sendable: made by the caller, then handed to one loop or one thread and touched only there.

    let easy: UnsafeMutableRawPointer
    private var lists: [UnsafeMutablePointer<curl_slist>] = []
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    private var unsent: ArraySlice<UInt8> = []
    private var isAbandoned: () -> Bool = { false }

    private let responseBytesMax: Int
    private var responseBytes = 0
    private var headerLines: [String] = []
    private var body: [UInt8] = []

    package init(_ request: CurlRequest) {
        _ = libraryReady
        responseBytesMax = request.responseBytesMax
        easy = curl_easy_init()!
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        set(request)
        receive()
        switch request.content {
        case .http(let method, let headerLines, let body): set(method, headerLines, body)
        case .mail(let mail): set(mail)
        }
    }

    /// Only after `curl_multi_remove_handle`: the driver holds a reference until then.
    deinit {
        curl_easy_cleanup(easy)
        for list in lists { curl_slist_free_all(list) }
        errorText.deallocate()
    }

    // MARK: Options

    private func set(_ request: CurlRequest) {
        ccurl_set_string(easy, CURLOPT_URL, request.url)
        ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1)
        // A transfer that ends during its look-up leaves the thread of the look-up behind. Else libcurl
        // would wait for it: 10 s if no name server answers.
        ccurl_set_long(easy, CURLOPT_QUICK_EXIT, 1)
        ccurl_set_long(easy, CURLOPT_TIMEOUT_MS, max(1, Int(request.timeout.milliseconds)))
        ccurl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, max(1, Int(request.connectTimeout.milliseconds)))
        ccurl_set_long(easy, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        ccurl_set_pointer(easy, CURLOPT_ERRORBUFFER, errorText)
        if let caFile = request.caFile {
            ccurl_set_string(easy, CURLOPT_CAINFO, caFile)
            ccurl_set_pointer(easy, CURLOPT_CAPATH, nil)
        }
    }

    private func set(_ method: String, _ headerLines: [String], _ body: [UInt8]?) {
        ccurl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        if let body {
            ccurl_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, body.count)
            // An empty array may have no address, and libcurl reads a NULL as "the body comes from
            // a callback".
            let bytes = body.isEmpty ? [0] : body
            bytes.withUnsafeBytes { _ = ccurl_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, $0.baseAddress) }
        }
        if method == "HEAD" { ccurl_set_long(easy, CURLOPT_NOBODY, 1) }
        ccurl_set_string(easy, CURLOPT_CUSTOMREQUEST, method)
        setList(CURLOPT_HTTPHEADER, headerLines)
    }

    private func set(_ mail: CurlRequest.Mail) {
        ccurl_set_string(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps")
        // The proxies of the environment are for HTTP. Empty text means none.
        ccurl_set_string(easy, CURLOPT_PROXY, "")
        // libcurl waits for the answer to QUIT when it closes a connection. Here it closes it
        // within the transfer, whose caller can abandon the wait.
        ccurl_set_long(easy, CURLOPT_FORBID_REUSE, 1)
        if mail.requiresSTARTTLS { ccurl_set_long(easy, CURLOPT_USE_SSL, Int(CURLUSESSL_ALL.rawValue)) }
        if let login = mail.login {
            ccurl_set_string(easy, CURLOPT_USERNAME, login.user)
            ccurl_set_string(easy, CURLOPT_PASSWORD, login.password)
        }
        ccurl_set_string(easy, CURLOPT_MAIL_FROM, mail.sender)
        setList(CURLOPT_MAIL_RCPT, [mail.recipient])
        ccurl_set_long(easy, CURLOPT_UPLOAD, 1)
        ccurl_set_offset(easy, CURLOPT_INFILESIZE_LARGE, mail.message.count)
        unsent = mail.message[...]
        ccurl_set_pointer(easy, CURLOPT_READDATA, Unmanaged.passUnretained(self).toOpaque())
        ccurl_set_callback(easy, CURLOPT_READFUNCTION) { buffer, size, count, context in
            CurlTransfer.from(context!).give(UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
        }
    }

    private func setList(_ option: CURLoption, _ lines: [String]) {
        var list: UnsafeMutablePointer<curl_slist>?
        for line in lines { list = curl_slist_append(list, line) }
        ccurl_set_pointer(easy, option, list)
        if let list { lists.append(list) }
    }

    private func receive() {
        let context = Unmanaged.passUnretained(self).toOpaque()
        ccurl_set_pointer(easy, CURLOPT_HEADERDATA, context)
        ccurl_set_callback(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
            return CurlTransfer.from(context!).gotHeaderLine(line) ? line.count : 0
        }
        ccurl_set_pointer(easy, CURLOPT_WRITEDATA, context)
        ccurl_set_callback(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            let part = UnsafeRawBufferPointer(start: bytes, count: size * count)
            // Anything but the count makes libcurl end the transfer with CURLE_WRITE_ERROR.
            return CurlTransfer.from(context!).gotBody(part) ? part.count : 0
        }
    }

    // MARK: Called from within libcurl

    private static func from(_ context: UnsafeMutableRawPointer) -> CurlTransfer {
        Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
    }

    private func give(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        let part = unsent.prefix(buffer.count)
        part.withUnsafeBytes { buffer.copyMemory(from: $0) }
        unsent = unsent.dropFirst(part.count)
        return part.count
    }

    private func gotHeaderLine(_ line: UnsafeRawBufferPointer) -> Bool {
        guard takes(line.count) else { return false }
        headerLines.append(String(decoding: line, as: UTF8.self))
        return true
    }

    private func gotBody(_ part: UnsafeRawBufferPointer) -> Bool {
        guard takes(part.count) else { return false }
        body.append(contentsOf: part)
        return true
    }

    private func takes(_ count: Int) -> Bool {
        responseBytes += count
        return responseBytes <= responseBytesMax
    }

    // MARK: The end

    /// Runs the transfer to its end, on the calling thread. No driver may have it.
    /// - Parameter isAbandoned: ends the transfer when it answers true. libcurl asks about once a
    ///   second while it waits for the server, also for the answer to QUIT.
    package func perform(unless isAbandoned: @escaping () -> Bool) -> Result<CurlAnswer, CurlFailure> {
        self.isAbandoned = isAbandoned
        ccurl_set_progress(
            easy, { context, _, _, _, _ in CurlTransfer.from(context!).isAbandoned() ? 1 : 0 },
            Unmanaged.passUnretained(self).toOpaque())
        return result(curl_easy_perform(easy))
    }

    func result(_ code: CURLcode) -> Result<CurlAnswer, CurlFailure> {
        let status = ccurl_status(easy)
        guard code != CURLE_OK else { return .success(CurlAnswer(status: status, headerLines: headerLines, body: body)) }
        let message = errorText.pointee == 0 ? String(cString: curl_easy_strerror(code)) : String(cString: errorText)
        let isTooLarge = responseBytes > responseBytesMax
        return .failure(
            CurlFailure(
                code: isTooLarge ? .tooLarge : CurlFailure.Code(code), message: message, status: status, isMessageSent: unsent.isEmpty))
    }
}

extension CurlFailure.Code {
    fileprivate init(_ code: CURLcode) {
        self =
            switch code {
            case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_BAD_FUNCTION_ARGUMENT: .badRequest
            case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT: .connectFailed
            case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CIPHER,
                CURLE_SSL_CERTPROBLEM, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS, CURLE_USE_SSL_FAILED:
                .tlsFailed
            case CURLE_OPERATION_TIMEDOUT: .timedOut
            case CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING, CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_REMOTE_ACCESS_DENIED:
                .malformed
            case CURLE_SEND_ERROR: .sendFailed
            case CURLE_LOGIN_DENIED: .loginRefused
            case CURLE_ABORTED_BY_CALLBACK: .abandoned
            default: .closedEarly
            }
    }
}
