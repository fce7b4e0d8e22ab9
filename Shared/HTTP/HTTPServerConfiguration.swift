import EventLoop
import HTTPWire
package import Uploads

/// Where a server listens and what it bears. Deadlines are looked at once a second.
package struct HTTPServerConfiguration: Sendable {
    package var host = "127.0.0.1"
    /// 0 lets the kernel choose.
    package var port = 0
    package var backlog = 4_096
    /// One listener a loop on the same port; the kernel spreads new connections over them.
    package var reusePort = false

    /// Beyond it: 431.
    package var headBytesMax = 32 << 10
    /// Beyond it: 431.
    package var headersMax = 128
    /// Beyond it: 414.
    package var targetBytesMax = 8 << 10
    /// The body limit of every request, in bytes. A row of a table can set a lower one. Beyond it,
    /// declared or counted: 413. An upload has the limit of its row only.
    package var bodyBytesMax = 16 << 20
    /// The bytes of all request bodies on this loop as they were received, each until its handler
    /// drops it or returns. Beyond it: 503 `overloaded` and closed. Copies that a handler makes,
    /// answers and bytes read ahead are not counted.
    package var bufferedBodyBytesMax = 256 << 20
    /// The bytes of all answers on this loop that wait for clients that do not take them. Beyond it the connection with
    /// the most of them is reset.
    package var waitingOutputBytesMax = 256 << 20
    /// The place of the uploads of all loops. Beyond its limit, or if its disk is full: 503
    /// `overloaded` and closed.
    package var uploads = UploadStore.standard

    /// The time from the first byte of a request (or the connection's opening) to the end of its head. Then: 408.
    package var headWithin = Duration.seconds(10)
    /// The time from the end of the head to the end of the body. Then: 408.
    package var bodyWithin = Duration.seconds(60)
    /// The same for an upload: 64 MiB come within it at 1 Mbit/s.
    package var uploadWithin = Duration.seconds(600)
    /// The time between requests. Then: closed silently.
    package var idleWithin = Duration.seconds(75)
    /// Without the client taking a single byte of what waits for it. Then: reset.
    package var writeStallWithin = Duration.seconds(30)
    /// Between our last byte on a connection we end and the client's own end.
    package var lingerWithin = Duration.seconds(2)
    /// The time from the beginning of a drain, or from an answer that could not announce it, to the close of a connection
    /// without a request. A request that comes meanwhile is answered, as with nginx's `keepalive_min_timeout`.
    package var drainIdleWithin = Duration.milliseconds(500)

    /// Bytes waiting for the client at which ``Exchange/isBackpressured`` turns true …
    package var highWater = 256 << 10
    /// … and at which ``Exchange/onDrain`` is called afterwards.
    package var lowWater = 64 << 10

    /// Beyond it: 503 `overloaded` and closed, for 256 connections at a time. Beyond those: reset.
    package var connectionsMax = 8_192

    /// The peers whose `X-Forwarded-For` names the client.
    package var trustedProxies = TrustedProxies.standard

    package init() {}

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    var deadlines: HTTPDeadlines {
        HTTPDeadlines(
            head: UInt64(headWithin.nanoseconds), body: UInt64(bodyWithin.nanoseconds),
            upload: UInt64(uploadWithin.nanoseconds), idle: UInt64(idleWithin.nanoseconds),
            writeStall: UInt64(writeStallWithin.nanoseconds), linger: UInt64(lingerWithin.nanoseconds))
    }

    /// The limits of a head. A connection limits each body by the row of its request.
    var parserLimits: HTTPParser.Limits {
        HTTPParser.Limits(headBytesMax: headBytesMax, fieldsMax: headersMax, targetBytesMax: targetBytesMax)
    }
}

/// The configured times in nanoseconds: `Duration` divides 128-bit numbers each time it is added to a clock.
struct HTTPDeadlines: Sendable {
    let head: UInt64
    let body: UInt64
    let upload: UInt64
    let idle: UInt64
    let writeStall: UInt64
    let linger: UInt64
}

extension MonotonicInstant {
    @inline(__always)
    func advanced(by nanoseconds: UInt64) -> MonotonicInstant { MonotonicInstant(nanoseconds: self.nanoseconds &+ nanoseconds) }
}
