import CPostgres
import EventLoop
import Glibc

/// One connection to the server: libpq without blocking, driven by the loop's readiness.
///
/// Either nothing is under way, or one batch (or one script) is; a second is refused. A dead session stays dead: the pool makes
/// another. In pipeline mode from the moment it is open, except while a script runs.
final class PostgresSession: IOHandler, @unchecked Sendable {
    // @unchecked Sendable: confined to its loop; whatever sends to the server checks that it runs there.

    private enum Phase {
        case connecting
        case idle
        case running(PipelineBatch)
        case scripting(failure: PostgresError?, (Result<Void, PostgresError>) -> Void)
        case dead(PostgresError)
    }

    let loop: EventLoop
    /// The server's limit for a statement (`statement_timeout`).
    private let statementTimeout: Duration
    /// The limit that the open transaction set instead.
    private var transactionTimeout: Duration?
    private let answerMargin: Duration
    private var handle: OpaquePointer?
    private var watched: Int32?
    private var wantsWrite = false
    private var phase = Phase.connecting
    private var prepared: [ObjectIdentifier: (name: String, types: [UInt32])] = [:]
    private var onConnected: ((PostgresError?) -> Void)?
    private var connectTimer: TimerID?

    /// Called once, when an open session dies; not when ``close()`` ends it.
    var onDeath: ((PostgresError) -> Void)?
    /// True after a death whose cause older sessions of the pool share: a server that does not
    /// answer, or a stale plan.
    private(set) var othersAreSuspect = false

    init(loop: EventLoop, statementTimeout: Duration, answerMargin: Duration) {
        (self.loop, self.statementTimeout, self.answerMargin) = (loop, statementTimeout, answerMargin)
    }

    var isBusy: Bool {
        switch phase {
        case .running, .scripting, .connecting: true
        case .idle, .dead: false
        }
    }

    var isDead: Bool { if case .dead = phase { true } else { false } }

    /// Whether the server holds a transaction open for us.
    var isInTransaction: Bool { handle.map { PQtransactionStatus($0) != PQTRANS_IDLE } ?? false }

    // MARK: Opening and closing

    /// - Parameter completion: called once, never from inside this call; nil means open.
    func connect(_ options: [(String, String)], within limit: Duration, _ completion: @escaping (PostgresError?) -> Void) {
        loop.preconditionCurrent()
        onConnected = completion
        var keywords: [UnsafePointer<CChar>?] = options.map { UnsafePointer(strdup($0.0)) } + [nil]
        var values: [UnsafePointer<CChar>?] = options.map { UnsafePointer(strdup($0.1)) } + [nil]
        handle = PQconnectStartParams(&keywords, &values, 1)
        for text in keywords + values { free(UnsafeMutableRawPointer(mutating: text)) }
        connectTimer = loop.schedule(after: limit) { [weak self] in
            self?.die(PostgresError(.connectFailed, "no connection within \(limit)"))
        }
        guard handle != nil, PQstatus(handle) != CONNECTION_BAD else {
            loop.schedule(after: .zero) { self.die(PostgresError(.connectFailed, self.lastMessage)) }
            return
        }
        // Notices are the operator's business; libpq would print them to stderr.
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        watch(.writable)
    }

    /// PQconnectPoll may close its socket and open another (next address, TLS refused): the old one leaves the epoll set before.
    private func pollConnect() {
        unwatch()
        switch PQconnectPoll(handle) {
        case PGRES_POLLING_READING: watch(.readable)
        case PGRES_POLLING_WRITING: watch(.writable)
        case PGRES_POLLING_OK: opened()
        default: die(PostgresError(.connectFailed, lastMessage))
        }
    }

    private func opened() {
        guard PQsetnonblocking(handle, 1) == 0, PQenterPipelineMode(handle) == 1 else {
            return die(PostgresError(.connectFailed, lastMessage))
        }
        phase = .idle
        watch(.readable)
        if let connectTimer { loop.cancel(connectTimer) }
        let onConnected = onConnected.take()
        onConnected?(nil)
    }

    func close() {
        loop.preconditionCurrent()
        onDeath = nil
        die(PostgresError(.connectionLost, "closed by us"))
    }

    private func die(_ error: PostgresError) {
        let ended = phase
        if case .dead = ended { return }
        phase = .dead(error)
        deadline = .never
        unwatch()
        if let handle { PQfinish(handle) }
        handle = nil
        if let connectTimer { loop.cancel(connectTimer) }
        switch ended {
        case .connecting: onConnected.take()?(error)
        case .running(let batch): batch.completion(.failure(error))
        case .scripting(_, let completion): completion(.failure(error))
        case .idle, .dead: break
        }
        if case .connecting = ended { return }
        onDeath.take()?(error)
    }

    /// Ends a broken session. Reports the server's reason if it gave one (`57P01` and its like
    /// arrive just before the end).
    private func lost(_ reason: String? = nil) {
        var error = PostgresError(.connectionLost, reason ?? lastMessage)
        if case .running(let batch) = phase {
            if let failure = batch.failure { error = failure }
            error.code = batch.commitIsUnknown ? .commitUnknown : .connectionLost
        } else if case .scripting(let failure?, _) = phase {
            error = failure
            error.code = .connectionLost
        }
        die(error)
    }

    private var lastMessage: String {
        guard let handle else { return "out of memory" }
        var message = String(cString: PQerrorMessage(handle))
        while message.last?.isNewline == true { message.removeLast() }
        return message.isEmpty ? "the server closed the connection" : message
    }

    // MARK: Batches

    /// Sends `requests` behind each other with one sync; `completion` gets their results, or the first error, once.
    ///
    /// Without BEGIN, what lies before the sync is one transaction: an error undoes all of it.
    func submit(_ requests: [Request], _ completion: @escaping (Result<[QueryResult], PostgresError>) -> Void) {
        loop.preconditionCurrent()
        switch phase {
        case .idle: break
        case .dead(let error): return completion(.failure(error))
        default: return completion(.failure(PostgresError(.connectionBusy, "a statement is under way on this connection")))
        }
        var batch = PipelineBatch([], completion: completion)
        var preparing: [ObjectIdentifier: (name: String, types: [UInt32])] = [:]
        for request in requests {
            transactionTimeout = request.statementTimeout ?? transactionTimeout
            guard let key = request.key else {
                guard PQsendQueryParams(handle, request.sql, 0, nil, nil, nil, nil, 1) == 1 else { return refuse(completion) }
                batch.steps.append(request.sql == Request.commit.sql ? .commit : .execute(request.origin, isKept: false))
                continue
            }
            let kept = prepared[key]
            var plan = kept ?? preparing[key]
            if plan == nil {
                let made = (name: "s\(prepared.count + preparing.count)", types: request.parameters.types)
                guard PQsendPrepare(handle, made.name, request.sql, Int32(made.types.count), made.types) == 1 else {
                    return refuse(completion)
                }
                batch.steps.append(.prepare(key, request.origin))
                preparing[key] = made
                plan = made
            }
            guard let plan else { return }
            precondition(plan.types == request.parameters.types, "\(request.origin.name) binds other types than the first time")
            guard send(request.parameters, to: plan.name) else { return refuse(completion) }
            batch.steps.append(.execute(request.origin, isKept: kept != nil))
        }
        guard PQpipelineSync(handle) == 1 else { return refuse(completion) }
        batch.results.reserveCapacity(requests.count)
        preparingTypes = preparing
        phase = .running(batch)
        expectAnswer()
        flush()
    }

    /// Limits the wait for the next answer. A server that runs ends its statement before that. TCP
    /// does not show that a server hangs, because the kernel acknowledges bytes for a process that
    /// is stopped or waits for its disk.
    private func expectAnswer() { deadline = loop.now + statementLimit + answerMargin }

    private var statementLimit: Duration { transactionTimeout ?? statementTimeout }

    private func rest() {
        phase = .idle
        deadline = .never
        if !isInTransaction { transactionTimeout = nil }
    }

    /// Plans of the running batch; they move to `prepared` one by one as the server confirms them.
    private var preparingTypes: [ObjectIdentifier: (name: String, types: [UInt32])] = [:]

    private func send(_ parameters: Parameters, to name: String) -> Bool {
        let count = parameters.count
        precondition(count <= 65_535, "a statement binds at most 65,535 values: use unnest")
        return parameters.bytes.withUnsafeBytes { bytes in
            withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: count + 1) { values in
                withUnsafeTemporaryAllocation(of: Int32.self, capacity: count + 1) { formats in
                    for index in 0..<count {
                        formats[index] = 1
                        // An empty value still needs an address: a null pointer is NULL.
                        values[index] =
                            parameters.lengths[index] < 0
                            ? nil
                            : (bytes.baseAddress.map { $0 + parameters.offsets[index] } ?? UnsafeRawPointer(formats.baseAddress!))
                                .assumingMemoryBound(to: CChar.self)
                    }
                    return PQsendQueryPrepared(
                        handle, name, Int32(count), values.baseAddress, parameters.lengths, formats.baseAddress, 1) == 1
                }
            }
        }
    }

    /// libpq took a part of the batch and not the rest: what the server will see is not what was meant, so the session ends.
    private func refuse(_ completion: (Result<[QueryResult], PostgresError>) -> Void) {
        let error = PostgresError(.connectionLost, "cannot send: \(lastMessage)")
        die(error)
        completion(.failure(error))
    }

    /// Runs `sql`, which may hold many statements, by the simple protocol. For migrations; nothing is bound and nothing read.
    func script(_ sql: String, _ completion: @escaping (Result<Void, PostgresError>) -> Void) {
        loop.preconditionCurrent()
        switch phase {
        case .idle: break
        case .dead(let error): return completion(.failure(error))
        default: return completion(.failure(PostgresError(.connectionBusy, "a statement is under way on this connection")))
        }
        guard PQexitPipelineMode(handle) == 1, PQsendQuery(handle, sql) == 1 else {
            let error = PostgresError(.connectionLost, "cannot send: \(lastMessage)")
            die(error)
            return completion(.failure(error))
        }
        phase = .scripting(failure: nil, completion)
        expectAnswer()
        flush()
    }

    /// Calls `completion` when the session can be lent again: what is under way is over and no transaction is open.
    func reset(_ completion: @escaping (PostgresError?) -> Void) {
        switch phase {
        case .running(let batch):
            // The task that waited for these results has gone.
            phase = .running(batch.replacing { [weak self] _ in self?.reset(completion) })
        case .scripting(let failure, _):
            phase = .scripting(failure: failure) { [weak self] _ in self?.reset(completion) }
        case .idle where isInTransaction:
            submit([.rollback]) { [weak self] _ in self?.reset(completion) }
        case .idle: completion(nil)
        case .connecting: preconditionFailure("a session is lent only when it is open")
        case .dead(let error): completion(error)
        }
    }

    // MARK: Readiness

    override func ready(_ events: IOEvents) {
        switch phase {
        case .connecting:
            pollConnect()
        case .dead:
            break
        case .idle, .running, .scripting:
            if events != .writable {
                guard PQconsumeInput(handle) == 1 else {
                    // The server's last messages before it closed are still to be read.
                    receive()
                    return lost()
                }
                receive()
            }
            if wantsWrite { flush() }
        }
    }

    override func deadlineReached() {
        // If this process was stopped itself, the answer is in the socket.
        ready(.readable)
        guard isBusy, deadline == .never else { return }
        othersAreSuspect = true
        lost("no answer within \(statementLimit + answerMargin)")
    }

    private func flush() {
        guard let handle else { return }
        let status = PQflush(handle)
        // A failed write leaves reading to tell the reason: libpq keeps it for PQgetResult.
        guard status >= 0 else {
            loop.schedule(after: .zero) { self.afterFailedWrite() }
            return
        }
        let blocked = status == 1
        if blocked != wantsWrite, let watched {
            wantsWrite = blocked
            loop.modify(watched, for: blocked ? [.readable, .writable] : .readable)
        }
    }

    private func afterFailedWrite() {
        guard let handle else { return }
        _ = PQconsumeInput(handle)
        receive()
        lost()
    }

    private func receive() {
        switch phase {
        case .running: receiveBatch()
        case .scripting: receiveScript()
        case .idle: if PQstatus(handle) == CONNECTION_BAD { lost() }
        case .connecting, .dead: break
        }
    }

    private func receiveBatch() {
        var endsInARow = 0
        while case .running(var batch) = phase, PQisBusy(handle) == 0 {
            guard let result = PQgetResult(handle) else {
                // Between two results libpq answers nil once; more often means that its idea of the pipeline is not ours.
                endsInARow += 1
                if PQstatus(handle) == CONNECTION_BAD || endsInARow > 3 { return lost() }
                continue
            }
            endsInARow = 0
            let status = PQresultStatus(result)
            if status == PGRES_PIPELINE_SYNC {
                PQclear(result)
                if batch.failure == nil, batch.cursor < batch.steps.count { return lost("answers are missing") }
                rest()
                preparingTypes = [:]
                batch.completion(batch.failure.map { .failure($0) } ?? .success(batch.results))
                return
            }
            phase = .idle  // `batch` is the only reference while it changes
            record(result, status, in: &batch)
            phase = .running(batch)
            othersAreSuspect = batch.isPlanStale
            if batch.isPlanStale || PQstatus(handle) == CONNECTION_BAD { return lost() }
            expectAnswer()
        }
    }

    private func record(_ result: OpaquePointer, _ status: ExecStatusType, in batch: inout PipelineBatch) {
        guard batch.cursor < batch.steps.count else {
            PQclear(result)
            return
        }
        let step = batch.steps[batch.cursor]
        switch status {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            batch.cursor += 1
            switch step {
            case .prepare(let key, _):
                prepared[key] = preparingTypes[key]
                PQclear(result)
            case .execute(let origin, _): batch.results.append(QueryResult(result, origin))
            case .commit: batch.results.append(QueryResult(result, Request.commit.origin))
            }
        case PGRES_PIPELINE_ABORTED:
            batch.cursor += 1
            PQclear(result)
        default:
            let name =
                switch step {
                case .prepare(_, let origin), .execute(let origin, _): origin.name
                case .commit: Request.commit.sql
                }
            // Without an SQLSTATE it is libpq speaking of the connection: no answer to this step.
            let error = PostgresError(result, statement: name)
            PQclear(result)
            guard error.sqlState != nil else { return }
            batch.cursor += 1
            if batch.failure == nil { batch.failure = error }
            if case .execute(_, isKept: true) = step { batch.isPlanStale = error.sqlState?.isStalePlan == true }
        }
    }

    private func receiveScript() {
        while case .scripting(var failure, let completion) = phase, PQisBusy(handle) == 0 {
            guard let result = PQgetResult(handle) else {
                if PQstatus(handle) == CONNECTION_BAD { return lost() }
                guard PQenterPipelineMode(handle) == 1 else { return lost() }
                rest()
                completion(failure.map { .failure($0) } ?? .success(()))
                return
            }
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: break
            default: failure = failure ?? PostgresError(result, statement: nil)
            }
            PQclear(result)
            phase = .scripting(failure: failure, completion)
            expectAnswer()
        }
    }

    // MARK: Epoll

    private func watch(_ interest: IOEvents) {
        let descriptor = PQsocket(handle)
        guard descriptor >= 0 else { return die(PostgresError(.connectFailed, lastMessage)) }
        loop.watch(descriptor, for: interest, self)
        watched = descriptor
        wantsWrite = false
    }

    private func unwatch() {
        guard let descriptor = watched.take() else { return }
        loop.unwatch(descriptor)
    }
}

extension PipelineBatch {
    func replacing(_ completion: @escaping (Result<[QueryResult], PostgresError>) -> Void) -> PipelineBatch {
        var batch = PipelineBatch(steps, completion: completion)
        batch.cursor = cursor
        batch.failure = failure
        return batch
    }
}

extension PostgresError {
    init(_ result: OpaquePointer, statement: String?) {
        func field(_ code: Int) -> String? { PQresultErrorField(result, Int32(code)).map { String(cString: $0) } }
        self.init(
            .server,
            field(CPOSTGRES_MESSAGE) ?? String(cString: PQresultErrorMessage(result)),
            sqlState: field(CPOSTGRES_SQLSTATE).map(SQLState.init),
            constraint: field(CPOSTGRES_CONSTRAINT),
            detail: field(CPOSTGRES_DETAIL),
            statement: statement)
    }
}
