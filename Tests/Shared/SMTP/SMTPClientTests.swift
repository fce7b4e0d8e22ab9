import Configuration
import EventLoop
import SMTP
import Synchronization
import TestSupport
import Testing
import Values

/// A wait of libcurl's that no deadline ends takes two minutes.
@Suite(.timeLimit(.minutes(1)))
struct SMTPClientTests {
    /// The answers of a server that takes every message.
    @Sendable static func accept(_ line: String) -> String? { line == "DATA" ? "354 go on" : "250 OK" }

    func outcome(
        at server: ScriptedServer, within timeout: Duration = .seconds(60), to recipient: String = "a@example.com"
    ) async throws -> SMTPClient.Outcome {
        let client = SMTPClient(try SMTPStage.configuration("smtp://127.0.0.1:\(server.port)", timeout: timeout))
        return try await client.send(SMTPStage.message(to: recipient))
    }

    // MARK: Messages

    @Test(arguments: [
        ("Welcome", "Confirm your address:\nhttps://example.com/verify?token=a-b_c&x=1\n"),
        ("ยืนยันที่อยู่อีเมลของคุณสำหรับบัญชี SmartSpec และเริ่มใช้งานเครดิตฟรี", "สวัสดี\n\nกดที่ลิงก์นี้: https://example.com/ยืนยัน 👋\n"),
        ("Line ends", "one\n\ntwo\n\n\n"), ("No line end", "one"), ("Nothing", ""),
        ("Dots", ".\n..\n.x\n. \nend\n.\n"),
        ("An encoded word =?UTF-8?B?QQ==?= and =20", "=?UTF-8?B?QQ==?= =20 =\n"), (" spaces ", "\ttab\n"),
        ("Fields", "From the start\nFrom: x@example.com\n\nX: y\n"),
    ])
    func `a message arrives as it was written`(subject: String, text: String) async throws {
        let stage = try SMTPStage()
        let outcome = try await stage.client().send(SMTPStage.message(to: "a@example.com", subject: subject, text: text))
        #expect(outcome == .accepted(reply: 250))
        let shown = try #require(try stage.sink.messages(to: "a@example.com").first)
        #expect(shown.subject.unicodeScalars.elementsEqual(subject.unicodeScalars), "\(shown.subject)")
        #expect(shown.text.unicodeScalars.elementsEqual(text.unicodeScalars), "\(shown.text.prefix(200))")
    }

    @Test func `the longest subject, a long line and the largest text arrive`() async throws {
        let stage = try SMTPStage()
        let subject = String(repeating: "0123456789", count: MailMessage.subjectBytesMax / 10)
        let line = String(repeating: "0123456789", count: 1_000) + "\nend\n"
        let long = try SMTPStage.message(to: "long@example.com", subject: subject, text: line)
        #expect(try await stage.client().send(long) == .accepted(reply: 250))
        #expect(try stage.sink.messages(to: "long@example.com") == [MailSink.Message(subject: subject, text: line, links: [])])
        let text = String(repeating: "ก\n", count: MailMessage.textBytesMax / 4)
        #expect(try await stage.client().send(SMTPStage.message(to: "a@example.com", text: text)) == .accepted(reply: 250))
        #expect(try stage.sink.messages(to: "a@example.com").map(\.text.utf8.count) == [MailMessage.textBytesMax])
    }

    @Test func `a hundred messages at once arrive once each`() async throws {
        let stage = try SMTPStage()
        let client = try stage.client()
        try await withThrowingTaskGroup(of: SMTPClient.Outcome.self) { group in
            for index in 0..<100 {
                let message = try SMTPStage.message(to: "a@example.com", subject: "\(index)")
                group.addTask { try await client.send(message) }
            }
            for try await outcome in group { #expect(outcome == .accepted(reply: 250)) }
        }
        let subjects = try stage.sink.messages(to: "a@example.com").map(\.subject)
        #expect(subjects.sorted() == (0..<100).map { "\($0)" }.sorted())
    }

    @Test func `the envelope has the sender and the recipient, and the client names itself by the sender's domain`() async throws {
        let lines = Mutex<[String]>([])
        let server = SMTPStage.server { line in
            lines.withLock { $0.append(line) }
            return Self.accept(line)
        }
        #expect(try await outcome(at: server, to: "o'neil+x@sub.example.org") == .accepted(reply: 250))
        #expect(
            lines.withLock { $0 }.filter { $0 != "QUIT" } == [
                "EHLO example.com", "MAIL FROM:<no-reply@example.com>", "RCPT TO:<o'neil+x@sub.example.org>", "DATA", ".",
            ])
    }

    // MARK: Refusals

    @Test(arguments: [
        ("reject", SMTPClient.Outcome.rejected(reply: 550)), ("later", .deferred(.reply(451))),
        ("reject-content", .rejected(reply: 554)),
    ])
    func `a refusal is for ever or for now by its reply code`(recipient: String, outcome: SMTPClient.Outcome) async throws {
        let stage = try SMTPStage()
        #expect(try await stage.client().send(SMTPStage.message(to: "\(recipient)@example.com")) == outcome)
        #expect(try stage.sink.messages(to: "\(recipient)@example.com") == [])
        #expect(try await stage.client().send(SMTPStage.message(to: "a@example.com")) == .accepted(reply: 250))
    }

    @Test(arguments: [
        ("MAIL", "552 too large", SMTPClient.Outcome.rejected(reply: 552)), ("MAIL", "530 login first", .deferred(.reply(530))),
        ("MAIL", "421 closing", .deferred(.reply(421))), ("RCPT", "450 greylisted", .deferred(.reply(450))),
        ("DATA", "554 no", .rejected(reply: 554)), (".", "452 disk full", .deferred(.reply(452))),
        (".", "no reply code", .deferred(.timeout)), ("EHLO", "421 closing", .deferred(.reply(421))),
    ])
    func `each command may be refused`(command: String, reply: String, expected: SMTPClient.Outcome) async throws {
        let server = SMTPStage.server { line in
            // A server that refuses EHLO refuses HELO, too.
            line.hasPrefix(command) || (command == "EHLO" && line.hasPrefix("HELO")) ? reply : Self.accept(line)
        }
        #expect(try await outcome(at: server, within: expected == .deferred(.timeout) ? .milliseconds(200) : .seconds(60)) == expected)
    }

    @Test func `a greeting that refuses the session rejects no message`() async throws {
        let server = SMTPStage.server(greeting: "554 no service", Self.accept)
        #expect(try await outcome(at: server) == .deferred(.reply(554)))
    }

    // MARK: Servers that fail

    @Test func `a message to no server may be sent later`() async throws {
        let port = try freePorts(1)[0]
        let client = SMTPClient(try SMTPStage.configuration("smtp://127.0.0.1:\(port)"))
        #expect(try await client.send(SMTPStage.message(to: "a@example.com")) == .deferred(.unreachable))
    }

    @Test func `a server that never greets meets the deadline`() async throws {
        let server = ScriptedServer { peer in _ = peer.waitForHangup() }
        #expect(try await outcome(at: server, within: .milliseconds(200)) == .deferred(.timeout))
    }

    @Test(arguments: ["EHLO", "MAIL", "RCPT", "DATA", "."])
    func `a server that stops to answer meets the deadline`(command: String) async throws {
        let hasLeft = Mutex(false)
        let server = SMTPStage.server(whenLeft: { hasLeft.withLock { $0 = true } }) { line in
            line.hasPrefix(command) ? nil : Self.accept(line)
        }
        #expect(try await outcome(at: server, within: .milliseconds(200)) == .deferred(.timeout))
        try await until("the client has left") { hasLeft.withLock { $0 } }
    }

    @Test(arguments: [("RCPT", "550 no", SMTPClient.Outcome.rejected(reply: 550)), ("NOOP", "", .accepted(reply: 250))])
    func `a server that does not answer QUIT changes no outcome`(
        command: String, reply: String, expected: SMTPClient.Outcome
    ) async throws {
        let hasLeft = Mutex(false)
        let server = SMTPStage.server(whenLeft: { hasLeft.withLock { $0 = true } }) { line in
            line == "QUIT" ? nil : line.hasPrefix(command) ? reply : Self.accept(line)
        }
        #expect(try await outcome(at: server, within: .milliseconds(500)) == expected)
        try await until("the client has left") { hasLeft.withLock { $0 } }
    }

    @Test(arguments: ["EHLO", "MAIL", "RCPT", "DATA", "."])
    func `a server that hangs up rejects no message`(command: String) async throws {
        let server = ScriptedServer { peer in
            peer.send("220 ready\r\n")
            var isMessage = false
            while let line = peer.line() {
                guard !isMessage || line == "." else { continue }
                isMessage = line == "DATA"
                guard !line.hasPrefix(command) else { return }
                peer.send((Self.accept(line) ?? "") + "\r\n")
            }
        }
        #expect(try await outcome(at: server) == .deferred(.connectionLost))
    }

    @Test func `an endless reply ends the attempt`() async throws {
        let server = ScriptedServer { peer in while peer.send("220-\(String(repeating: "x", count: 1_000))\r\n") {} }
        #expect(try await outcome(at: server) == .deferred(.connectionLost))
    }

    @Test func `a cancelled task leaves the server`() async throws {
        let (arrived, hungUp) = (Gate(on: loop), Gate(on: loop))
        let server = ScriptedServer { peer in
            arrived.open()
            if peer.waitForHangup() { hungUp.open() }
        }
        try await withTaskExecutorPreference(loop) {
            let task = Task(executorPreference: loop) { try await outcome(at: server) }
            try await arrived.wait()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            try await hungUp.wait()
        }
    }

    @Test func `a message that finds too many others waiting may be sent later`() async throws {
        let server = ScriptedServer { peer in _ = peer.waitForHangup() }
        let client = SMTPClient(try SMTPStage.configuration("smtp://127.0.0.1:\(server.port)"))
        let room = SMTPClient.threads + SMTPClient.waitingMax
        await withTaskGroup(of: SMTPClient.Outcome?.self) { group in
            for _ in 0..<room + 40 { group.addTask { try? await client.send(SMTPStage.message(to: "a@example.com")) } }
            for _ in 0..<40 { #expect(await group.next() == .deferred(.overloaded)) }
            group.cancelAll()
            for await outcome in group { #expect(outcome == nil) }
        }
    }
}
